---@meta moongate.webhook

---Standard Webhooks (standardwebhooks.com): signatures of the form `v1,<base64 of HMAC-SHA-256 over id.timestamp.body>`. To send one, see
---moongate.webhooks.
---
---A secret is a string or a handle: `whsec_` and base64, or, without that prefix, the key's bytes. A list of up to 8 is for key
---rotation: the message is signed with each, and any of them lets it in.
---@class moongate.webhook
local webhook = {}

---@alias moongate.webhook.secret string|moongate.secret.handle

---@class moongate.webhook.sign_options
---@field secret moongate.webhook.secret|moongate.webhook.secret[]
---@field id string the message's id, the same for every attempt to deliver it: printable ASCII without '.' and space, up to 256
---@field timestamp? number seconds since 1970 (default: now; a fraction is dropped)
---@field body string the bytes that are sent

---The three headers of a message: `webhook-id`, `webhook-timestamp`, `webhook-signature`.
---
---Errors: `invalid` (a malformed secret or id).
---@param options moongate.webhook.sign_options
---@return table<string, string>? headers
---@return moongate.error? err
function webhook.sign(options) end

---@class moongate.webhook.verify_options
---@field secret moongate.webhook.secret|moongate.webhook.secret[]
---@field headers table<string, string> as they came; names in any case
---@field body string the bytes as they came
---@field tolerance? number seconds that the timestamp may lie in the past or the future (default 300)
---@field now? number seconds since 1970 (default: now)

---Checks a message that was received.
---
---Errors: `verify`, with the reason (a header is missing or malformed, too old, too new, no signature matches); `invalid` (a malformed secret).
---@param options moongate.webhook.verify_options
---@return true? verified
---@return moongate.error? err
function webhook.verify(options) end

return webhook
