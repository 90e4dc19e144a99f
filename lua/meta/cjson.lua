---@meta cjson

---lua-cjson, for scripts that expect it: encode, decode and null with its default settings, and nothing else of it. Prefer moongate.json:
---lua-cjson turns `[]` into `{}`, makes every number a float with 14 digits, and writes keys in no fixed order.
---@class cjson
---@field null lightuserdata JSON's null; equals json.null
local cjson = {}

---Raises on what has no JSON form.
---@param value any
---@return string text
function cjson.encode(value) end

---Raises on what is not JSON.
---@param text string
---@return any value
function cjson.decode(text) end

return cjson
