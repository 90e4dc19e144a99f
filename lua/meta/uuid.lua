---@meta moongate.uuid

---UUIDs (RFC 9562), as text in lower case.
---@class moongate.uuid
local uuid = {}

---A random one.
---@return string
function uuid.v4() end

---One of a name: the same name in the same namespace gives the same UUID, in every program that makes version 5.
---@param namespace string the text of a UUID; of DNS names: "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
---@param name string|integer any bytes, or the digits of the integer
---@return string
function uuid.v5(namespace, name) end

---One that begins with the time: each sorts after those made before it in the same process.
---@return string
function uuid.v7() end

---Whether v is the text of a UUID, of any version and case.
---@param v any
---@return boolean
function uuid.is(v) end

return uuid
