-- stats: what the simulated gateway was asked: counts by route and status, the last requests with their bodies, and
-- duplicates.
local hash = require "moongate.hash"
local json = require "moongate.json"
local safe = require "moongate.safe_json"

local M = {}
M.__index = M

local kept_requests = 1000  -- the last so many are shown
local kept_bytes = 16384    -- of each body
local kept_keys = 100000    -- ids and body hashes remembered for duplicates; beyond it new ones are not counted

function M.new()
  return setmetatable({
    requests = 0, closed = 0, routes = {}, statuses = {}, faults = {}, last = {}, first = 1,
    ids = {}, bodies = {}, known = 0, duplicate_ids = 0, duplicate_bodies = 0,
    parts = {}, -- what a resource counts by itself: name -> function
  }, M)
end

local function bump(t, key)
  t[key] = (t[key] or 0) + 1
end

-- Whether key was there before.
local function seen(self, set, key)
  if set[key] then
    set[key] = set[key] + 1
    return true
  end
  if self.known < kept_keys then
    set[key] = 1
    self.known = self.known + 1
  end
  return false
end

-- A request's headers have come. name: "PUT /template"
function M:arrived(call, name)
  self.requests = self.requests + 1
  call.entry = { method = call.req.method, path = call.req.target, at = call.at, remote = call.req.remote }
  call.route_name = name
  local route = self.routes[name] or { count = 0, statuses = {} }
  self.routes[name] = route
  route.count = route.count + 1
  if #self.last < kept_requests then
    self.last[#self.last + 1] = call.entry
  else
    self.last[self.first] = call.entry
    self.first = self.first % kept_requests + 1
  end
end

-- Its body has come.
function M:received(call)
  local req, entry = call.req, call.entry
  local id = req.headers["idempotency-key"] or req.headers["x-genesys-request-id"]
  entry.id = id
  if id and seen(self, self.ids, id) then
    self.duplicate_ids = self.duplicate_ids + 1
    entry.duplicate_id = true
  end
  if call.secret or req.body == "" then return end
  entry.body = safe.cut(req.body, kept_bytes)
  local print = hash.sha256(req.method .. " " .. req.path .. "\n" .. req.body)
  if req.method ~= "GET" and seen(self, self.bodies, print) then
    self.duplicate_bodies = self.duplicate_bodies + 1
    entry.duplicate_body = true
  end
end

-- It is answered. status: nil when the connection was closed instead
function M:answered(call, status, kinds)
  local key = status and tostring(status) or "closed"
  call.entry.status = status
  bump(self.statuses, key)
  bump(self.routes[call.route_name].statuses, key)
  for _, kind in ipairs(kinds or {}) do
    bump(self.faults, kind)
    call.entry.faults = kinds
  end
end

function M:report()
  local last = {}
  for i = 1, #self.last do
    last[i] = self.last[(self.first + i - 2) % #self.last + 1]
  end
  local report = {
    requests = self.requests,
    routes = self.routes,
    statuses = self.statuses,
    faults = self.faults,
    duplicates = { by_id = self.duplicate_ids, by_body = self.duplicate_bodies },
    last = json.array(last),
  }
  for name, part in pairs(self.parts) do report[name] = part() end
  return report
end

return M
