---@meta moongate.router

---Sends prompts to models: one after the other of a chain when one fails or refuses, each once, and counts what came of
---it.
---@class moongate.router
---@field SAFETY string[] names of safety filters
---@field TEMPERATURES table<string, number>
---@field TEMPERATURE_NAMES string[]
local router = {}

---@class moongate.router.options
---@field gateway moongate.gateway.handle
---@field model? string name or id
---@field fallback? string[] tried in this order
---@field temperature? number|string a number, or "low", "default", "high"
---@field temperatures? table<string, number> what those words mean
---@field max_tokens? integer (default 2048)
---@field top_p? number (default 0.95)
---@field safety? string[]
---@field metadata? table<string, string>
---@field concurrency? integer (default 5)
---@field deadline? number seconds a prompt may take, waiting and fallbacks included (default 30)
---@field metrics? moongate.metrics.registry
---@field audit? table
---@field limits? table<string, number>
---@field each? fun(entry: table) called for each prompt that was sent: timestamp, modelId, requestId, status (of HTTP), latencyMs, hitRate, …

---Raises `invalid` with every fault that can be seen without asking the gateway.
---@param options moongate.router.options
---@return moongate.router.handle router
function router.open(options) end

---@class moongate.router.handle
---@field models table what was counted: models:lines(), models:data()
local handle = {}

---Reads which models there are, once. Raises for a chain that names one that is not.
function handle:prepare() end

---@class moongate.router.prompt
---@field prompt string
---@field id? string
---@field model? string
---@field fallback? string[]
---@field temperature? number|string
---@field max_tokens? integer
---@field top_p? number
---@field safety? string[]
---@field metadata? table<string, string>

---@class moongate.router.answer
---@field status "ok"
---@field model string
---@field output? string nil when the answer has no text
---@field raw? any the answer as it came, when it has no text
---@field warning? string why there is a raw
---@field finish_reason? string
---@field usage? table
---@field safety? table
---@field latency_ms number
---@field attempts integer
---@field fallbacks table[]
---@field request_id string
---@field correlation_id? string

---Raises `invalid` for a bad prompt, `timeout` when no place came free, else the last model's failure.
---@param prompt string|moongate.router.prompt
---@param request_id? string a UUID that the gateway knows the prompt by; default: a new one
---@return moongate.router.answer answer
function handle:route(prompt, request_id) end

return router
