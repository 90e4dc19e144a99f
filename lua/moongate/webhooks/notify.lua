-- notify.lua - tells all webhooks of a run's project file of one event, side by side, and audits each. For
-- workflow.lua only.

local task = require "moongate.task"
local webhooks = require "moongate.webhooks"

local M = {}

local function deliver(run, hook, event, data)
  local sent, err = webhooks.send { url = hook.url, secret = hook.secret, event = event, data = data }
  local note = {
    name = hook.name, delivered = sent ~= nil, id = sent and sent.id or nil,
    status = (sent or err).status, attempts = (sent or err).attempts, error = err and err.message or nil,
  }
  if err then run.log.warn("webhook %s was not told of %s: %s", hook.name, event, tostring(err)) end
  local seq, fault = run.audit.event {
    action = "webhook_delivery", webhook = hook.name, event = event, status = sent and "delivered" or "undelivered",
    http_status = note.status, attempts = note.attempts, message_id = note.id, error_code = err and err.code or nil,
    error_message = note.error,
  }
  if not seq then
    note.audit_error = fault.message
    run.log.error("webhook %s: its delivery could not be audited: %s", hook.name, fault.message)
  end
  return note
end

function M.all(run, event, data)
  local hooks = webhooks.listening(run.project.webhooks, event)
  if #hooks == 0 or run.dry_run then return {} end
  return assert(task.map(hooks, #hooks, function(hook) return deliver(run, hook, event, data) end))
end

return M
