---@meta moongate.note

---Signed notes (C2SP, with Ed25519 keys): a text whose author can be checked with the author's verifier key. Audit checkpoints
---and approvals of plans are such notes. A private key is a handle: a script can sign with it and can't read it.
---@class moongate.note
local note = {}

---A private key and its name. Prints as `***`.
---@class moongate.note.key_handle
local key_handle = {}

---The verifier key, `NAME+ID+KEY`: what others need to check this key's signatures. It is public.
---@return string
function key_handle:vkey() end

---A new private key.
---
---Errors: `out_of_memory`.
---@param name string 1 to 200 characters, no white space, no `+`; by convention like `alice@example.com` or `example.com/audit`
---@return moongate.note.key_handle? key
---@return moongate.error? err
function note.generate(name) end

---A private key from a secret that holds it in PEM (PKCS#8), as `moongate key new` and `openssl genpkey -algorithm ed25519` write it.
---
---Errors: `parse` (not a PEM private key, or one with a passphrase), `invalid` (a key of another kind).
---@param name string
---@param secret moongate.secret.handle
---@return moongate.note.key_handle? key
---@return moongate.error? err
function note.key(name, secret) end

---The private key in PEM, as a secret handle.
---@param key moongate.note.key_handle
---@return moongate.secret.handle? handle
---@return moongate.error? err
function note.pem(key) end

---A text with one signature.
---
---Errors: `invalid` (the text does not end with a line break, is not UTF-8 or has other control characters).
---@param key moongate.note.key_handle
---@param text string
---@return string? note
---@return moongate.error? err
function note.sign(key, text) end

---Checks a note. Signatures of keys that are not in the list are ignored.
---
---Errors: `parse` (not a signed note), `verify` (a signature that claims to be of one of the keys does not match, or none is of any of
---them).
---@param text string
---@param vkeys string[] 1 to 64 verifier keys
---@return string? text what was signed
---@return string[]|moongate.error names of the keys that signed it, or what is wrong
function note.verify(text, vkeys) end

---The name in a verifier key.
---
---Errors: `parse`.
---@param vkey string
---@return string? name
---@return moongate.error? err
function note.name(vkey) end

return note
