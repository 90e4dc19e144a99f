---@meta moongate.error

---Error objects: what a function that fails at run time returns as its second result, and what workflow-level modules raise. `tostring` gives
---one line: `message (METHOD path, status 409, correlation …, 3 attempts)`.
---@class moongate.error.module
local errors = {}

---@class moongate.error
---@field code string stable name: "timeout", "not_found", "denied", "unauthorized", "conflict", "script", …
---@field message string
---@field status? integer HTTP status
---@field gateway_code? string the gateway's own error code
---@field method? string
---@field path? string
---@field correlation_id? string
---@field details? {field: string, message: string, code: string?}[]
---@field attempts? integer
---@field outcome? "not_sent"|"refused"|"unknown"|"final"
---@field hint? string what to do next
---@field where? string "file:line" of the script, or a JSON Pointer
---@field value? any what was raised, when it was neither a string nor an error object
---@field traceback? string with -v
---@field [string] any what else whoever made it has to say

---Makes an error object with all these fields, and with others if there are any. Raises when `code` or `message` is missing.
---@param fields moongate.error
---@return moongate.error
function errors.new(fields) end

---@param v any
---@return boolean
function errors.is(v) end

return errors
