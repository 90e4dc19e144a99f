---@meta moongate.hash

---Digests (OpenSSL's) and base64.
---@class moongate.hash
local hash = {}

---SHA-256 of a string's bytes.
---@param s string
---@return string hex 64 lower-case digits
function hash.sha256(s) end

---SHA-256 of a value's canonical JSON (RFC 8785): equal values have equal hashes, whatever the order of their keys. It is the
---hash of the bytes that `http` sends for `json = v`.
---
---Errors: as json.encode (`invalid`, `range`).
---@param v moongate.json.value
---@return string? hex
---@return moongate.error? err
function hash.payload(v) end

---HMAC-SHA-256 (RFC 2104).
---@param key string|moongate.secret.handle
---@param s string
---@return string hex
function hash.hmac_sha256(key, s) end

---Base64 with the standard alphabet, padded, without line breaks.
---@param s string
---@return string
function hash.base64(s) end

---The bytes of a base64 text. Strict: padded, no white space, no stray bits.
---
---Errors: `parse`.
---@param text string
---@return string? bytes
---@return moongate.error? err
function hash.unbase64(text) end

---Whether two strings are equal, in a time that does not depend on where they differ. For signatures and tokens.
---@param a string
---@param b string
---@return boolean
function hash.equal(a, b) end

return hash
