---@meta moongate.secret

---Secrets as opaque handles: other modules use what is in them, a script can only pass them on. A handle prints as `***`, can't be joined
---to text or encoded, and its value is redacted from everything that is written from then on.
---@class moongate.secret
local secret = {}

---@class moongate.secret.handle

---The value of an environment variable.
---
---Errors: `not_found` (not set, or empty), `denied`.
---@param name string
---@return moongate.secret.handle? handle
---@return moongate.error? err
function secret.env(name) end

---A new random secret in the form of webhook keys: `whsec_` and base64.
---@param bytes? integer 16 to 64 (default 32)
---@return moongate.secret.handle? handle
---@return moongate.error? err
function secret.random(bytes) end

---@param v any
---@return boolean
function secret.is(v) end

return secret
