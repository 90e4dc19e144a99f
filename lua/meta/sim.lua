---@meta moongate.sim

---A simulated gateway on a local port, in memory, for trials and tests. It invents what it answers.
---@class moongate.sim
---@field fault_help string
local sim = {}

---@class moongate.sim.options
---@field host? string numeric address or "localhost" (default 127.0.0.1)
---@field port? integer default: a free one
---@field tls? {cert: string, key: string} PEM text or paths
---@field max_body? integer      bytes of a request's body; default 64 MiB
---@field max_bodies? integer    bytes of all request bodies together; default 128 MiB
---@field seed? integer of ids, tokens and faults (default 1)
---@field faults? (string|table)[]
---@field client_id? string
---@field client_secret? string
---@field scopes? string[] what the client may be granted (default: all)
---@field token_ttl? integer seconds
---@field latency? number seconds before each answer
---@field rate_limit? integer requests a minute a token; 0: no limit
---@field idempotency? boolean honour Idempotency-Key
---@field repeat_writes? boolean handle each write that was done once more, as if it had been sent twice
---@field busy? number seconds for which a resource refuses writes after one
---@field ingest? number seconds
---@field job? number seconds that the registration of a model takes
---@field job_states? string[]
---@field prompts? table[] how models behave
---@field model_tokens? string[]
---@field any_model? boolean chat completions answer for models that are not registered, too; default true
---@field webhook_secret? any string or secret handle
---@field receiver_secrets? table<string, any>
---@field webhook_hosts? "loopback"|"any"

---Ends with the task that started it.
---@param options? moongate.sim.options
---@return moongate.sim.server? server
---@return moongate.error? err
function sim.start(options) end

---@param text string "status=503,rate=0.05"
---@return table? rule
---@return moongate.error? err
function sim.parse_fault(text) end

---@param path string a JSON file of rules
---@return table[]? rules
---@return moongate.error? err
function sim.read_faults(path) end

---@class moongate.sim.server
---@field url string
---@field port integer
---@field client_id string
---@field client_secret string
---@field webhook_secret any
local server = {}

---@return table state what the gateway holds
function server:state() end

---@return table stats what it was asked and answered
function server:stats() end

---Forgets what it holds and counted. Fault rules stay.
function server:reset() end

---@param rule string|table
---@return integer? id
---@return moongate.error? err
function server:fault(rule) end

---@return table[] rules with how often each has matched and fired
function server:faults() end

---@param id? integer default: all
function server:clear_faults(id) end

---The next call with a token gets a 401.
function server:expire_tokens() end

---@param seconds? number (default 5)
---@return boolean settled no webhook delivery is under way or due
function server:settle(seconds) end

---@param grace? number seconds for answers under way
function server:stop(grace) end

---Waits until the server has ended.
function server:join() end

return sim
