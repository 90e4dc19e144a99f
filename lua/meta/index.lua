---@meta moongate.index

---Vector-store indexes: configuration files read and checked, one index put, read back and compared. Raises error
---objects.
---@class moongate.index
---@field LIMITS table<string, number> what a project file may set otherwise
local index = {}

---@class moongate.index.options
---@field precision? "standard"|"high"
---@field limits? table<string, number>
---@field text? string the document's source, for line numbers
---@field file? string its name

---@param document any
---@param options? moongate.index.options
---@return table? config as it is sent; nil when there are faults
---@return string|table[] precision or the faults
function index.check(document, options) end

---Raises all errors of all files together, `invalid`.
---@param paths string[] files; a folder stands for the *.json in it
---@param options? moongate.index.options
---@return {file: string, config: table, precision: string}[] items
function index.load_all(paths, options) end

---@param path string
---@param options? moongate.index.options
---@return table config
---@return string precision
function index.load(path, options) end

---Where an index lies.
---@param args table a workflow's own: {vector_store = }
---@param config table
---@return {vectorStoreId: string, indexId: string} place
function index.place(args, config) end

---@param gateway moongate.gateway.handle
---@param args table
---@param config table
---@param options? moongate.gateway.read_options
---@return moongate.gateway.resource? live
function index.get(gateway, args, config, options) end

---@param gateway moongate.gateway.handle
---@param args table
---@param config table
---@param live moongate.gateway.resource? what get gave; nil: it is created
---@param options? moongate.gateway.write_options
---@return table result of gateway:write, with what the gateway says of the index
function index.put(gateway, args, config, live, options) end

---The data of the webhook `index_update`.
---@param place {indexId: string, vectorStoreId: string}
---@param config table
---@param facts {status: string, retrieval_precision: number?, updated_at: string?, latency_ms: number?, correlation_id: string?}
---@return table data
function index.announcement(place, config, facts) end

---@param gateway moongate.gateway.handle
---@param args table
---@param config table
---@param result table
---@return moongate.gateway.resource resource as it is read back
function index.confirm(gateway, args, config, result) end

return index
