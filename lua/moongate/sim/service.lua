-- service: what every request of the simulated gateway goes through, before and after its resource's handler.
local control = require "moongate.sim.control"
local errors = require "moongate.sim.errors"
local faults = require "moongate.sim.faults"
local idempotency = require "moongate.sim.idempotency"
local jobs = require "moongate.sim.jobs"
local json = require "moongate.json"
local oauth = require "moongate.sim.oauth"
local rate_limit = require "moongate.sim.rate_limit"
local rng = require "moongate.sim.rng"
local router = require "moongate.sim.router"
local safe = require "moongate.safe_json"
local stats = require "moongate.sim.stats"
local task = require "moongate.task"
local time = require "moongate.time"

local M = {}

-- Each has name and routes, and may have new(gateway) -> state, kept as gateway[name], show(state) -> what the state
-- path tells, and count(state) -> how many it holds, for /metrics.
M.resources = {
  oauth,
  require "moongate.sim.indexes",
  require "moongate.sim.templates",
  require "moongate.sim.models",
  require "moongate.sim.model_jobs",
  require "moongate.sim.model_configurations",
  require "moongate.sim.chat",
  require "moongate.sim.prompts",
  require "moongate.sim.webhooks",
  require "moongate.sim.receiver",
}

-- ---- a gateway ----

-- Every scope that a route asks for or that the dialect says a job needs, or those the options allow.
local function grantable(o)
  local set = {}
  if o.scopes then
    for _, name in ipairs(o.scopes) do set[name] = true end
    return set
  end
  for _, resource in ipairs(M.resources) do
    for _, route in ipairs(resource.routes) do
      if route.scope then set[route.scope] = true end
    end
  end
  for _, kind in pairs(require("moongate.dialects.genesys").kinds) do
    for _, scopes in pairs(kind.scopes or {}) do
      for name in scopes:gmatch "[^,%s]+" do set[name] = true end
    end
  end
  return set
end

-- Empties it: what it holds, tokens, counts. Fault rules stay and count from zero.
function M.reset(gw)
  gw.rng = rng.new(gw.options.seed, "ids")
  gw.correlation = rng.new(gw.options.seed, "correlation")
  gw.stats = stats.new()
  gw.rate_limit = rate_limit.new(gw.options.rate_limit)
  gw.idempotency = idempotency.new()
  gw.faults:restart()
  for _, resource in ipairs(M.resources) do
    if resource.new then gw[resource.name] = resource.new(gw) end
  end
end

-- o: options.read's
function M.new(o)
  local gw = {
    options = o, resources = M.resources, reset = M.reset, grantable = grantable(o),
    router = router.new(), faults = faults.new(o.seed), jobs = jobs.new(),
  }
  for _, resource in ipairs(M.resources) do
    for _, route in ipairs(resource.routes) do gw.router:add(route) end
  end
  M.reset(gw)
  return gw
end

-- ---- before the body is read ----

local function no_route(call)
  local methods = call.params
  if methods.malformed then return errors.response(call, 400, "bad.request", "The path is not valid UTF-8.") end
  if #methods == 0 then return errors.response(call, 404, "not.found", "No resource at this path.") end
  local message = "This path does not know the method " .. call.req.method .. "."
  return errors.response(call, 405, "method.not.allowed", message, nil, { Allow = table.concat(methods, ", ") })
end

local function merge(response, headers)
  response.headers = response.headers or {}
  for name, value in pairs(headers) do response.headers[name] = value end
  return response
end

local LARGE = 65536 -- bytes

-- Whether a body of more than a few bytes is announced, or one of unknown length.
local function announces_much(req)
  return req.headers["transfer-encoding"] ~= nil or (tonumber(req.headers["content-length"]) or 0) > LARGE
end

-- What its head alone is refused for -> nil | response
local function refused_by_head(gw, call)
  local route = call.route
  if not route then return no_route(call) end
  if route.login or route.open then return nil end
  local token, refused = gw.oauth:check(call)
  return refused or oauth.permit(call, token, route.scope)
end

-- The request's headers have come: its route, its fate. Returns "close" when that is to end without a body read, and
-- an answer when a large body would be read for nothing.
function M.accept(gw, req)
  if control.is(req.path) then return nil end
  local route, params, template = gw.router:find(req.method, req.path)
  if route then template = route[2] end
  local call = { req = req, route = route, params = params, at = time.iso(), correlation_id = gw.correlation:uuid() }
  call.secret = route and route.login
  req.call = call
  gw.stats:arrived(call, template and req.method .. " " .. template or "(unknown)")
  call.fate = gw.faults:draw(req)
  if call.fate and call.fate.rule and call.fate.rule.kind == "close_before" then
    gw.stats:answered(call, nil, call.fate.kinds)
    return "close"
  end
  local refused = not call.fate and announces_much(req) and refused_by_head(gw, call)
  if not refused then return nil end
  gw.stats:answered(call, refused.status)
  return safe.response(merge(refused, { ["inin-correlation-id"] = call.correlation_id }))
end

-- ---- the answer ----

-- Decodes a JSON body -> nil | response
local function read_body(call)
  local media = (call.req.headers["content-type"] or ""):lower():match "^%s*([^;%s]*)"
  if media ~= "application/json" then
    return errors.response(call, 415, "unsupported.media.type", "The content type must be application/json.")
  end
  local value, err = call.req:json()
  if value == nil then
    return errors.response(call, 400, "bad.request", "The body is not JSON: " .. err.message .. ".")
  end
  if type(value) ~= "table" or json.is_array(value) then
    return errors.response(call, 400, "bad.request", "The body must be a JSON object.")
  end
  call.body = value
end

-- A call with a good token, within its limit.
local function act(gw, call)
  local refused = oauth.permit(call, call.token, call.route.scope)
    or (call.route.body == "json" and read_body(call)) or nil
  if refused then return refused end
  if not gw.options.idempotency then return call.route.handler(gw, call) end
  local instead, finish = gw.idempotency:begin(call)
  if instead then return instead end
  local ok, response = pcall(call.route.handler, gw, call)
  if finish then finish(ok and response or nil) end
  if not ok then error(response, 0) end
  return response
end

local function answer(gw, call)
  local route = call.route
  if not route then return no_route(call) end
  if route.login then return route.handler(gw, call) end
  if route.open then return route.body == "json" and read_body(call) or route.handler(gw, call) end
  local token, refused = gw.oauth:check(call)
  if not token then return refused end
  call.token = token
  local headers, too_many, wait = gw.rate_limit:count(token)
  if too_many then
    headers["Retry-After"] = tostring(wait)
    return errors.response(call, 429, "too.many.requests",
      ("Rate limit exceeded. Retry the request in [%d] seconds."):format(wait), nil, headers)
  end
  return merge(act(gw, call), headers)
end

-- ---- faults ----

local html = "<html><body><h1>%d</h1></body></html>\n"

-- The answer of a rule of kind "status".
local function spoiled(call, rule)
  if call.route and call.route.login and rule.status == 429 then return oauth.rate_limited() end
  local headers = {}
  if rule.retry_after then headers["Retry-After"] = tostring(rule.retry_after) end
  if rule.retry_at then headers["Retry-After"] = time.http_date(time.now() + rule.retry_at) end
  if rule.body == "empty" or rule.status < 400 then return { status = rule.status, headers = headers } end
  if rule.body == "html" then
    headers["Content-Type"] = "text/html"
    return { status = rule.status, headers = headers, body = html:format(rule.status) }
  end
  return errors.response(call, rule.status, errors.code(rule.status), "A simulated fault.", nil, headers)
end

-- Turns the answer into what the rule makes of it.
local function damage(response, rule)
  if rule.kind == "close_after" then return { close = true } end
  if not response.body or response.body == "" then return rule.kind == "half" and { close = true } or response end
  if rule.kind == "half" then
    response.truncate = #response.body // 2
  elseif rule.kind == "drip" then
    response.drip = { bytes = rule.bytes or 16, interval = math.max(rule.ms or 100, 1) / 1000 }
  end
  return response
end

-- A write that was done, done once more: what a proxy, or a client that did not hear the answer, might send. Its answer
-- is nobody's, and it is not counted.
local function again(gw, call)
  answer(gw, {
    req = call.req, route = call.route, params = call.params, at = call.at, correlation_id = call.correlation_id,
  })
end

local function is_write(call)
  local method = call.req.method
  local route = call.route
  -- Those that are told of arrivals tell repetitions apart themselves.
  return route and not route.login and not route.open and not route.arrived and method ~= "GET" and method ~= "HEAD"
end

local no_fate = { latency = 0, late = 0 }

-- The request is here with its body.
function M.handle(gw, req)
  if control.is(req.path) then return control.handle(gw, req) end
  local call = req.call
  local fate = call.fate or no_fate
  local rule = fate.rule
  gw.stats:received(call)
  if call.route and call.route.arrived then call.route.arrived(gw, call) end
  local wait = fate.latency / 1000 + gw.options.latency
  if wait > 0 then task.sleep(wait) end
  if fate.expire then gw.oauth:expire() end

  local response = rule and rule.kind == "status" and spoiled(call, rule) or answer(gw, call)
  local done = not rule and (response.status or 200) < 300
  if gw.options.repeat_writes and done and is_write(call) then again(gw, call) end
  merge(response, { ["inin-correlation-id"] = call.correlation_id })
  response = safe.response(response)
  if fate.late > 0 then task.sleep(fate.late / 1000) end
  if rule and rule.kind ~= "status" then response = damage(response, rule) end
  gw.stats:answered(call, not response.close and (response.status or 200) or nil, fate.kinds)
  return response
end

return M
