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

---The secret in a file of at most 4 KiB, without the line break at its end. The file must be closed to group and others (mode 0600); a
---pipe, such as `/dev/fd/3`, is read to its end. Waits on libuv's thread pool; needs a task.
---
---Errors: `not_found`, `denied` (the system's permissions, moongate's, or a file that others may read), `invalid` (empty; neither file nor
---pipe), `too_large`, `io`.
---@param path string
---@return moongate.secret.handle? handle
---@return moongate.error? err
function secret.file(path) end

---A new random secret in the form of webhook keys: `whsec_` and base64.
---@param bytes? integer 16 to 64 (default 32)
---@return moongate.secret.handle? handle
---@return moongate.error? err
function secret.random(bytes) end

---What Lua has in plain already, such as a URL's path that is a key: from now on it is redacted wherever it stands, in results too. What
---was written before stays; a text shorter than 4 bytes is never redacted.
---@param text string
---@return moongate.secret.handle? handle
---@return moongate.error? err
function secret.of(text) end

---@param v any
---@return boolean
function secret.is(v) end

---Where a handle came from, for what must be found again later without its value being kept.
---@param handle moongate.secret.handle
---@return string? name of the environment variable; nil when it came from elsewhere
function secret.variable(handle) end

return secret
