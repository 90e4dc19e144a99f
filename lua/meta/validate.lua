---@meta moongate.validate

---JSON Schema 2020-12 over Lua values: compiled once, checked in C without converting anything, every fault at once.
---@class moongate.validate
local validate = {}

---@class moongate.validate.options
---@field formats? boolean assert `format` for date, date-time, email, hostname, ipv4, ipv6, json-pointer, regex, time, uri, uri-reference and uuid (default false: an annotation)
---@field id? string the schema's own URI when it has no `$id`
---@field resources? table<string, table|string|boolean> schemas that `$ref` may name, by URI; nothing is ever fetched

---Compiles a schema, given as a table or as JSON text. In a table, an empty list must be json.array().
---
---Errors: `parse` (the text is not JSON), `invalid` (a keyword is wrong, a `$ref` leads nowhere; the message begins with the place).
---@param schema table|string|boolean
---@param options? moongate.validate.options
---@return moongate.schema? schema
---@return moongate.error? err
function validate.compile(schema, options) end

---One thing that is wrong with a value.
---@class moongate.schema.fault
---@field pointer string JSON Pointer of the place in the value, "" for the whole
---@field keyword string the schema keyword that found it
---@field message string reads on from the pointer: "must be at most 4096, is 5000"
---@field property? string of `required`: the name that is missing
---@field near? string of a property that is not known: the one that was probably meant
---@field schema_pointer string JSON Pointer of the keyword in the schema

---@class moongate.schema
local schema = {}

---Checks a value as json.encode would write it. All faults come at once (at most 10,000), ordered by place.
---@param value any
---@return true? valid nil when there are faults
---@return moongate.schema.fault[]? faults
function schema:check(value) end

return validate
