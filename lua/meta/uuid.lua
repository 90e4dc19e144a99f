---@meta moongate.uuid

---UUIDs (RFC 9562), as text in lower case.
---@class moongate.uuid
local uuid = {}

---A random one.
---@return string
function uuid.v4() end

---One that begins with the time: each sorts after those made before it in the same process.
---@return string
function uuid.v7() end

---Whether v is the text of a UUID, of any version and case.
---@param v any
---@return boolean
function uuid.is(v) end

return uuid
