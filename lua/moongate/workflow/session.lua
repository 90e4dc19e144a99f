-- session.lua - how a run gets its gateway: the session's host and credential, the project file's dialect and limits.
-- For workflow.lua and test/sim.lua only.

local auth = require "moongate.auth"
local gateway = require "moongate.gateway"
local hold = require "moongate.workflow.hold"
local http = require "moongate.http"
local shared = require "moongate.shared"

local M = {}

-- M.gateway(run, options of the HTTP client [, more of gateway.open's]) -> gateway. Raises when there is no credential.
function M.gateway(run, options, more)
  local declared = run.project.gateway or {}
  local client_options = {
    base_url = auth.info().api_url, auth = assert(auth.gateway()), deadline = run.deadline,
    headers = { Accept = "application/json" },
  }
  for k, v in pairs(options) do client_options[k] = v end
  local client = assert(http.client(client_options))
  run.metrics:watch_http("gateway", client)
  -- What other processes know of a gateway that only this one has would be of no use.
  local others = not run.simulated and shared.session() or nil
  local all = {
    client = client, metrics = run.metrics, dialect = declared.dialect, kinds = declared.kinds,
    limits = run.limits, audit = run.audit, dry_run = run.dry_run, on_conflict = run.flags.on_conflict,
    journal = run.journal, deadline = run.deadline, queue = run.queue, leases = function() return hold.scope(run) end,
    cache = others and others:cache(client_options.base_url) or nil,
  }
  for k, v in pairs(more or {}) do all[k] = v end
  return gateway.open(all)
end

return M
