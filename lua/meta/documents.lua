---@meta moongate.documents

---The files that a job takes: found, read, decoded, checked against a schema and rules. Every fault of every file is
---collected, and all are raised as one error, `invalid`.
---@class moongate.documents
local documents = {}

---@class moongate.documents.fault
---@field file? string
---@field line? integer
---@field column? integer
---@field pointer? string
---@field field? string
---@field message string
---@field where? string

---@param fault moongate.documents.fault
---@return moongate.documents.fault fault with field and where
function documents.fault(fault) end

---@param faults moongate.documents.fault[]
---@param file string
---@param pointer string?
---@param message string
---@param line? integer
---@param column? integer
function documents.add(faults, file, pointer, message, line, column) end

---@param faults moongate.documents.fault[]
function documents.raise(faults) end

---@param pointer string
---@param name string
---@return string pointer of a member
function documents.pointer(pointer, name) end

---@param v any
---@return boolean
function documents.is_object(v) end

---@param document any
---@param options table {schema, rules, text, file, place, …}: see lua/moongate/documents.lua
---@return any checked nil when there are faults
---@return moongate.documents.fault[]? faults
function documents.check(document, options) end

---@param host string
---@return boolean whether it is this machine
function documents.is_loopback(host) end

---@param url string
---@return string? fault what is wrong with a URL that is to be called
function documents.url_fault(url) end

---@param id string
---@return string? fault what is wrong with an id that becomes a part of a path
function documents.id_fault(id) end

---@param path string
---@param options {what: string, max_bytes: integer?}
---@param faults moongate.documents.fault[]
---@return string? text
function documents.read(path, options, faults) end

---@param path string
---@param text string
---@param faults moongate.documents.fault[]
---@return any value
function documents.decode(path, text, faults) end

---@param paths string[]
---@param faults moongate.documents.fault[]
---@param wanted? fun(name: string): boolean
---@param expected? string
---@return string[] files
function documents.expand(paths, faults, wanted, expected) end

---@param paths string[]
---@param options table {load = function(path, faults) -> item, id; id = "/indexId"; wanted, expected}
---@return table[] items
function documents.load_all(paths, options) end

return documents
