---@meta moongate.schemas

---The JSON Schemas that ship with the program, compiled with a project's limits in place.
---@class moongate.schemas
local schemas = {}

---@param schema string|table a shipped name, or a table
---@return table schema
function schemas.table(schema) end

---@param schema string|table
---@param options? {pointers: table<string, string>, limits: table<string, number>}
---@return moongate.schema compiled
function schemas.compile(schema, options) end

---@param schema string|table
---@return table<string, true>? names the members that it names
function schemas.properties(schema) end

---@param schema string|table
---@return table<string, any> defaults
function schemas.defaults(schema) end

return schemas
