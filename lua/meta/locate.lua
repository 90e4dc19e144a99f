---@meta moongate.locate

---The line on which a value stands in a JSON text, for messages.
---@class moongate.locate
local locate = {}

---@param text string that json.decode has accepted
---@param pointer string JSON Pointer
---@return integer line from 1; of the nearest thing around it that is there
function locate.line(text, pointer) end

return locate
