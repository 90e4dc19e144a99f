---@meta moongate.model

---Models of the gateway: registration files read and checked, a model registered, its endpoint tested, its health
---checked. Raises error objects.
---@class moongate.model
---@field LIMITS table<string, number> what a project file may set otherwise
---@field configuration moongate.model.configuration what a model is configured as
local model = {}

---@class moongate.model.options
---@field limits? table<string, number>
---@field text? string the document's source, for line numbers
---@field file? string its name

---@param document any
---@param options? moongate.model.options
---@return table? registration the body that is sent; nil when there are faults
---@return string|table[] test_model what the endpoint calls the model; or the faults
function model.check(document, options) end

---Raises all errors of all files together, `invalid`.
---@param paths string[] files; a folder stands for the *.json in it
---@param options? moongate.model.options
---@return {file: string, registration: table, test_model: string}[] items
function model.load_all(paths, options) end

---@param path string
---@param options? moongate.model.options
---@return table registration
---@return string test_model
function model.load(path, options) end

---@param gateway moongate.gateway.handle
---@return table[] models every one that the gateway lists
function model.listed(gateway) end

---@param gateway moongate.gateway.handle
---@param registration table
---@param options? {among: table[]} what listed gave
---@return table? found the model of that name and content
---@return moongate.error? conflict there is only one of another content
function model.find(gateway, registration, options) end

---@param gateway moongate.gateway.handle
---@param registration table
---@param options? moongate.gateway.write_options
---@return moongate.gateway.result result with `id` and `job`
function model.register(gateway, registration, options) end

---@param gateway moongate.gateway.handle
---@param model_id string
---@return {status: string, verdict: "healthy"|"unhealthy"|"unknown", healthy: boolean, id: string?, message: string?} health
---  status: the gateway's word; healthy is what the dialect's kind model_health names so
function model.check_health(gateway, model_id) end

---@class moongate.model.test_options
---@field endpoint string
---@field model string
---@field expect? string what every reply must hold (default "VALIDATION_SUCCESS")
---@field samples? integer
---@field max_latency? number seconds that the 95th percentile must stay below
---@field token? moongate.secret.handle
---@field deadline? number seconds that a sample may take
---@field each? fun(sample: table, n: integer)

---Sends prompts to a model's own endpoint, one after the other.
---@param options moongate.model.test_options
---@return table? verdict {result = "PASS" or "FAIL", latency_ms, response_code, samples, passed, latency, reasons, model, …}
---@return moongate.error? err the endpoint can't be used at all
function model.test(options) end

---@param url string
---@return string origin "https://host" or "https://host:port"
function model.origin(url) end

---@class moongate.model.configuration
local configuration = {}

---@param document any
---@param options? moongate.model.options
---@return table? config nil when there are faults
---@return table[]? faults
function configuration.check(document, options) end

---@param paths string[]
---@param options? {only: string[]}
---@return {name: string, file: string, config: table}[] items
function configuration.load_all(paths, options) end

---@param gateway moongate.gateway.handle
---@param model_id string
---@return {name: string?, max_context_window: integer?, restricted_safety_filters: string[]?}? capabilities nil: no such model
---@return boolean? untold the gateway tells nothing of models
function configuration.capabilities(gateway, model_id) end

---@param source string a file, or JSON: one object of capabilities for all models, one for each id, or a list of models
---@return fun(model_id: string): table? lookup
function configuration.load_capabilities(source) end

---@param config table
---@param capabilities table?
---@return {pointer: string, message: string}[] faults what of it the model can't do
function configuration.cross_faults(config, capabilities) end

---Raises all faults of all items.
---@param items table[] of load_all, each with `capabilities`
function configuration.check_capabilities(items) end

---@param update table
---@return table fields of the audit event
function configuration.audit_record(update) end

---@param config table
---@return table snapshot data of the governance webhook
function configuration.snapshot(config) end

---@param config table
---@return table place
function configuration.place(config) end

---@param gateway moongate.gateway.handle
---@param config table
---@return moongate.gateway.resource? live
function configuration.get(gateway, config) end

---@param gateway moongate.gateway.handle
---@param config table
---@param live moongate.gateway.resource?
---@param options? table of gateway:write, and audit_id
---@return table result
function configuration.put(gateway, config, live, options) end

---@param gateway moongate.gateway.handle
---@param config table
---@param result table
---@return moongate.gateway.resource resource as it is read back
function configuration.confirm(gateway, config, result) end

return model
