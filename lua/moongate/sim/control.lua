-- control: the simulator's own paths, below /__sim. No token; for clients on this machine only, but for
--   GET /metrics                 its counts as Prometheus text
-- which anybody may scrape, and which holds no more than counts.
--   GET /__sim/state             what the gateway holds
--   GET /__sim/stats             what it was asked
--   GET /__sim/faults            the fault rules
--   POST /__sim/faults           add some: JSON (a rule, a list, {"rules": [...]}) or a flag's text
--   DELETE /__sim/faults[?id=N]  remove all, or one
--   POST /__sim/reset            forget everything but the rules
--   POST /__sim/expire-tokens    the next call gets a 401
-- /__sim/webhooks/{name} is receiver.lua's.
local errors = require "moongate.sim.errors"
local faults = require "moongate.sim.faults"
local host = require "moongate.host"
local json = require "moongate.json"
local metrics = require "moongate.sim.metrics"
local safe = require "moongate.safe_json"

local M = {}

-- The receiver's paths are a resource's: faults, counts and the state are theirs as anybody's.
function M.is(path)
  if path:sub(1, 16) == "/__sim/webhooks/" then return false end
  return path == "/__sim" or path:sub(1, 7) == "/__sim/" or path == "/metrics"
end

function M.state(gw)
  local state = { seed = gw.options.seed, url = gw.url }
  for _, resource in ipairs(gw.resources) do
    if resource.show then state[resource.name] = resource.show(gw[resource.name]) end
  end
  return state
end

local function show_faults(gw)
  return { json = { rules = json.array(gw.faults:report()) } }
end

local function add_faults(gw, call)
  local body = call.req.body
  local rules, err
  if body:match "^%s*[%[{]" then
    rules, err = faults.parse_file(body, "the request's body")
  else
    local rule
    rule, err = faults.parse(body)
    rules = rule and { rule }
  end
  if not rules then return errors.response(call, 400, "bad.request", err.message) end
  local ids = {}
  for i, rule in ipairs(rules) do ids[i] = assert(gw.faults:add(rule)) end
  return { status = 201, json = { ids = json.array(ids) } }
end

local function show_metrics(gw)
  return { headers = { ["Content-Type"] = metrics.CONTENT_TYPE }, body = metrics.text(gw) }
end

local paths = {
  ["/metrics"] = { GET = show_metrics },
  ["/__sim/state"] = { GET = function(gw) return { json = M.state(gw) } end },
  ["/__sim/stats"] = { GET = function(gw) return { json = gw.stats:report() } end },
  ["/__sim/faults"] = {
    GET = show_faults,
    POST = add_faults,
    DELETE = function(gw, call)
      return { json = { removed = gw.faults:clear(tonumber(call.req.query.id)) } }
    end,
  },
  ["/__sim/reset"] = { POST = function(gw)
    gw.reset(gw)
    return { status = 204 }
  end },
  ["/__sim/expire-tokens"] = { POST = function(gw)
    gw.oauth:expire()
    return { status = 204 }
  end },
}

local function allowed(methods)
  local list = { methods.GET and "HEAD" or nil }
  for name in pairs(methods) do list[#list + 1] = name end
  table.sort(list)
  return table.concat(list, ", ")
end

function M.handle(gw, req)
  local call = { req = req, correlation_id = "sim-control" }
  if not host.is_loopback(req.remote) and req.path ~= "/metrics" then
    return errors.response(call, 403, "not.local", "The simulator's control paths are for clients on this machine.")
  end
  local methods = paths[req.path]
  if not methods then return errors.response(call, 404, "not.found", "No such control path.") end
  local handler = methods[req.method] or (req.method == "HEAD" and methods.GET)
  if not handler then
    return errors.response(call, 405, "method.not.allowed", "No such method here.", nil, { Allow = allowed(methods) })
  end
  return safe.response(handler(gw, call))
end

return M
