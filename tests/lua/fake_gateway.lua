-- fake_gateway.lua - for the tests of moongate.gateway: an HTTP client, an audit log and a clock that live in tables,
-- so that a test can say what the nth request meets.

local errors = require "moongate.error"
local gateway = require "moongate.gateway"
local json = require "moongate.json"

local M = {}

local function header_table(headers)
  return setmetatable({}, { __index = function(_, name) return headers[name:lower()] end })
end

-- An answer as the client gives it; a status of 400 or more becomes nil, err.
local function answer(request, status, body, headers, extra)
  local ok = status < 400
  for _, s in ipairs(request.ok_status or {}) do ok = ok or s == status end
  local text = body ~= nil and json.encode(body) or ""
  if ok then
    return {
      status = status, headers = header_table(headers or {}), body = text, attempts = { { n = 1, status = status } },
      correlation_id = "corr-" .. status, json = function() return json.decode(text) end,
    }
  end
  local fields = {
    code = "http", status = status, method = request.method, path = request.path, attempts = 1, outcome = "refused",
    correlation_id = "corr-" .. status, gateway_code = type(body) == "table" and body.code or nil,
    message = type(body) == "table" and body.message or "answered " .. status,
  }
  local err = errors.new(fields)
  for k, v in pairs(extra or {}) do err[k] = v end
  return nil, err
end
M.answer = answer

local function fill(path, params)
  return (path:gsub("{([%w_]+)}", params or {}))
end

local Client = {}
Client.__index = Client

local function matches(request, held)
  local headers = request.headers or {}
  if headers["If-None-Match"] then return held == nil end
  if headers["If-Match"] then return held ~= nil and headers["If-Match"] == held.etag end
  return true
end

-- What a gateway with ETags does. The text of a body is kept, so that bytes can be compared.
function Client:serve(request)
  local path = fill(request.path, request.params)
  local held = self.held[path]
  if request.method == "GET" then
    if not held then return answer(request, 404, { code = "not.found", message = "not found" }) end
    local body = json.decode(held.text)
    if self.wrap then body = { id = path, status = "ready", configuration = body } end
    return answer(request, 200, body, { etag = held.etag })
  end
  if not matches(request, held) then
    return answer(request, 412, { code = "etag.mismatch", message = "the ETag does not match" })
  end
  if request.method == "DELETE" then
    self.held[path] = nil
    return answer(request, 204)
  end
  self:hold(path, request.json)
  self.writes = self.writes + 1
  return answer(request, held and 200 or 201, { id = path, status = "ready", retrievalPrecision = 0.97 },
    { etag = self.held[path].etag })
end

-- Somebody writes: the state changes and with it the ETag.
function Client:hold(path, content)
  self.version = self.version + 1
  self.held[path] = { text = json.encode(content), etag = ('"%d"'):format(self.version) }
end

-- The correlation id, which every call has, is kept apart from the headers.
function Client:request(request)
  request.correlation, request.headers["X-Correlation-Id"] = request.headers["X-Correlation-Id"], nil
  self.requests[#self.requests + 1] = request
  if self.before then
    local response, err = self.before(request, #self.requests, self)
    if response or err then return response, err end
  end
  return self:serve(request)
end

function Client:count(method)
  local n = 0
  for _, r in ipairs(self.requests) do n = n + (r.method == method and 1 or 0) end
  return n
end

-- M.client{before = function(request, n, client) -> response | nil, err, wrap = true: as the index kind answers}
function M.client(opts)
  local client = { held = {}, requests = {}, writes = 0, version = 0, base_url = "https://gw.test" }
  for k, v in pairs(opts or {}) do client[k] = v end
  return setmetatable(client, Client)
end

-- A write whose answer is lost. applied: whether it took effect.
function M.lost(client, request, applied)
  if applied then client:serve(request) end
  return nil, errors.new {
    code = "unknown_outcome", message = "the connection was closed before the answer", method = request.method,
    path = request.path, attempts = 1, outcome = "unknown",
  }
end

function M.audit(opts)
  local log = { lines = {} }
  local function append(fields)
    log.lines[#log.lines + 1] = fields
    return #log.lines
  end
  function log.intent(fields)
    if opts and opts.refuse_intent then return nil, errors.new { code = "io", message = "disk full" } end
    local copy = { phase = "intent" }
    for k, v in pairs(fields) do copy[k] = v end
    local entry = { seq = append(copy) }
    function entry.outcome(_, more)
      if opts and opts.refuse_outcome then return nil, errors.new { code = "io", message = "disk full" } end
      local line = { phase = "outcome", intent = entry.seq }
      for k, v in pairs(more) do line[k] = v end
      append(line)
      return true
    end
    return entry
  end
  function log.event(fields) return append(fields) end
  return log
end

-- A clock that only sleeping turns.
function M.clock()
  local clock = { now = 0, slept = {} }
  function clock.monotonic() return clock.now end
  function clock.sleep(s)
    clock.slept[#clock.slept + 1] = s
    clock.now = clock.now + s
  end
  function clock.random() return 1 end
  return clock
end

local quiet = { error = function() end, warn = function() end, info = function() end, debug = function() end }

-- M.open(client [, options of gateway.open]) -> gateway, audit log, clock
function M.open(client, opts)
  local all = { client = client, audit = M.audit(), clock = M.clock(), log = quiet, leases = false }
  for k, v in pairs(opts or {}) do all[k] = v end
  return gateway.open(all), all.audit, all.clock
end

return M
