-- sim_session.lua - for tests: workflows run against a simulated gateway of the test's own, with an audit log in a
-- table.

local auth = require "moongate.auth"
local fake = require "fake_gateway"
local gateway = require "moongate.gateway"
local http = require "moongate.http"
local sim = require "moongate.sim"
local task = require "moongate.task"
local workflow = require "moongate.workflow"

local M = {}

M.STORE = "vs"
M.ROUTE = "/api/v2/ai/vectorstores/{vectorStoreId}/indexes/{indexId}"

local quiet = { error = function() end, warn = function() end, info = function() end, debug = function() end }

-- sim_session.start(options of sim.start) -> a simulated gateway. No limit of requests unless one is asked for.
function M.start(opts)
  local all = { rate_limit = 0 }
  for k, v in pairs(opts or {}) do all[k] = v end
  return assert(sim.start(all))
end

-- A client of its own for the server. opts: of http.client
function M.client(server, opts)
  local all = {
    base_url = server.url, deadline = 10, retry = { base_ms = 5, cap_ms = 50 },
    auth = assert(auth.client_credentials {
      client_id = server.client_id, client_secret = server.client_secret, login_url = server.url, origin = server.url,
    }),
  }
  for k, v in pairs(opts or {}) do all[k] = v end
  return assert(http.client(all))
end

function M.gateway(server, opts)
  local all = { client = M.client(server), audit = fake.audit(), log = quiet, leases = false }
  for k, v in pairs(opts or {}) do all[k] = v end
  return gateway.open(all), all.audit
end

-- A client that calls before(request, n) ahead of each request and after(request, response, err) behind it.
function M.watched(client, before, after)
  local n = 0
  return { base_url = client.base_url, request = function(_, request)
    n = n + 1
    if before then before(request, n) end
    local response, err = client:request(request)
    if after then after(request, response, err) end
    return response, err
  end }
end

-- Runs a definition against the server. opts: values, dry_run, project, client (a table or function(options) ->
-- client), gateway (options of gateway.open) -> outcome, audit log, failures reported
function M.execute(server, definition, opts)
  local audit, reported = opts.audit or fake.audit(), {}
  local session = {
    dry_run = opts.dry_run, project = opts.project, audit = audit,
    stream = opts.stream, note = opts.note, metrics = opts.metrics, journal = opts.journal,
    report = function(err) reported[#reported + 1] = err end,
    gateway = function(options)
      local client = opts.client
      if type(client) == "function" then client = client(options) end
      local all = {
        client = client or M.client(server, options), audit = audit, log = quiet, dry_run = opts.dry_run,
        on_conflict = opts.values.on_conflict, leases = false,
      }
      for k, v in pairs(opts.gateway or {}) do all[k] = v end
      return gateway.open(all)
    end,
  }
  return workflow.execute(definition, opts.values, session), audit, reported
end

-- Requests the server got, by method; the token's and the control path's not among them.
function M.count(server, method)
  local n = 0
  for name, route in pairs(server:stats().routes) do
    if name:find("^" .. method .. " /api/") then n = n + route.count end
  end
  return n
end

M.sleep = task.sleep

return M
