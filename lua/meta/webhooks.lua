---@meta moongate.webhooks

---Tells other systems what happened: one signed POST, {type, timestamp, data}, tried again for a while. A run uses
---run:webhook; this is for scripts that have no run.
---@class moongate.webhooks
---@field formats string[] of bodies: "standard", "flat"
---@field profiles string[] whose headers: "standard", "mlflow", "svix"
local webhooks = {}

---@class moongate.webhooks.send_options
---@field url string
---@field event string
---@field data table
---@field secret? moongate.webhook.secret|moongate.webhook.secret[]
---@field profile? "standard"|"mlflow"|"svix"
---@field headers? table<string, string|moongate.secret.handle>
---@field format? "standard"|"flat" {type, timestamp, data}, or the data's members at the top level beside event, event_type, timestamp
---@field flat? table members that the format "flat" has otherwise
---@field id? string of a message that is sent again
---@field deadline? number seconds (default 20)

---@class moongate.webhooks.delivery
---@field id string
---@field status integer
---@field attempts integer
---@field attempt_list table[]

---@param options moongate.webhooks.send_options
---@return moongate.webhooks.delivery? delivery
---@return moongate.error? err with id, attempts and attempt_list
function webhooks.send(options) end

---@param options moongate.webhooks.send_options
---@return table? message what send would send: {url, body, id, profile, secret, headers, deadline}
---@return moongate.error? err
function webhooks.message(options) end

---@param message table what message made
---@return moongate.webhooks.delivery? delivery
---@return moongate.error? err
function webhooks.deliver(message) end

---Both profiles; the headers say which.
---
---Errors: `verify`, with the reason.
---@param options moongate.webhook.verify_options
---@return true? verified
---@return moongate.error? err
function webhooks.verify(options) end

---@param configured table the project file's webhooks
---@param event string
---@return table[] list {name, url, secret, events, profile, headers} of those that want the event, by name
function webhooks.listening(configured, event) end

return webhooks
