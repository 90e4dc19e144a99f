-- shared.lua - what processes tell each other through the store: which hosts fail (circuit breakers), how much of a
-- rate limit is left or of one's own is used, and what resources were last seen as. So a second process knows that the
-- gateway is down.
--
-- Read when a run opens its gateway, and every few seconds while it lives; written a moment after it has changed, and
-- at the end. None of it is needed for the work: a store that fails costs what others know, and is told of once.
-- For trusted code only.

local cleaned = require "moongate.cleaned"
local closing = require "moongate.closing"
local host = require "moongate.host"
local log = require "moongate.log"
local merged = require "moongate.merged"
local plain = require "moongate.plain"
local task = require "moongate.task"
local time = require "moongate.time"

local M = {}

local EVERY = 3                        -- seconds between two looks
local KEEP_STATE = 3600 * 1000         -- ms that a breaker's or pacer's row is worth reading
local KEEP_RESOURCE = 30 * 86400 * 1000
local KEEP_MADE = 3650 * 86400 * 1000  -- what only this machine knows
local RESOURCE_MAX = 1 << 20           -- bytes of a resource that is kept

local PUT = [[INSERT INTO cells (kind, key, value_json, updated_at, expires_at) VALUES ($1, $2, $3, {now}, {now} + $4)
  ON CONFLICT (kind, key) DO UPDATE SET value_json = excluded.value_json, updated_at = excluded.updated_at,
    expires_at = excluded.expires_at]]
local GET = [[SELECT value_json, updated_at, {now} AS now FROM cells
  WHERE kind = 'resource' AND key = $1 AND expires_at > {now}]]
local DELETE = "DELETE FROM cells WHERE kind = $1 AND key = $2"
local LOOK = [[SELECT kind, key, value_json, updated_at, {now} AS now FROM cells
  WHERE kind IN ('breaker', 'pacer', 'limiter') AND expires_at > {now}]]
local TIDY = "DELETE FROM cells WHERE kind IN ('breaker', 'pacer', 'limiter', 'resource') AND expires_at <= {now}"

local Shared = {} -- {db, seen = "kind key" -> what is known to stand in the store, entries, dirty}
Shared.__index = Shared

local function wall_ms() return math.floor(time.now() * 1000) end

-- ---- breakers, pacers, limiters ----

-- What decides whether a row has to be written anew.
local function sign_of(s)
  if s.kind == "breaker" then return ("%s %d"):format(s.state, s.trips) end
  return ("%d %d"):format(s.left or 0, s.until_ms // 1000)
end

-- Rows for what has changed. A closed breaker is only told of when the store holds that it was not.
function Shared:_changed(batch)
  local now = wall_ms()
  for _, s in ipairs(host.shared()) do
    local key, sign = s.kind .. " " .. s.key, sign_of(s)
    local closed = s.kind == "breaker" and s.state == "closed"
    if self.seen[key] ~= sign and not (closed and not self.seen[key]) then
      self.seen[key] = sign
      local value = { state = s.state, trips = s.trips, left = s.left, allowed = s.allowed, in_ms = s.until_ms - now }
      batch[#batch + 1] = { PUT, s.kind, s.key, plain.write(value), KEEP_STATE }
    end
  end
end

-- Machines need not agree on the time: a row says how long something was to last when it was written.
local function adopt(row)
  local value = plain.decode(row.value_json or "")
  if type(value) ~= "table" then return end
  local state = merged({ kind = row.kind, key = row.key }, value)
  state.until_ms = wall_ms() + (math.tointeger(value.in_ms) or 0) - (row.now - row.updated_at)
  if row.kind == "breaker" and host.adopt(state) then
    log.info("%s: another process says that its circuit breaker is %s", row.key, tostring(value.state))
  elseif row.kind ~= "breaker" then
    host.adopt(state)
  end
  return row.kind == "breaker" and sign_of { kind = "breaker", state = value.state, trips = value.trips or 0 }
end

function Shared:look()
  local rows, err = self.db:exec(LOOK)
  if not rows then return nil, err end
  for _, row in ipairs(rows) do
    local key = row.kind .. " " .. row.key
    if self.at[key] ~= row.updated_at then
      self.at[key] = row.updated_at
      local ok, sign = pcall(adopt, row)
      if ok and sign then self.seen[key] = sign end
    end
  end
  return true
end

-- ---- resources ----

-- As gateway.open's cache. What this process has seen itself is in `entries`; false: it is known to be gone.
local Cache = {} -- {origin}
Cache.__index = Cache

-- Cache -> what it is part of: not in the cache, which a run's script gets hold of.
local shared_of = setmetatable({}, { __mode = "k" })

function Cache:get(path)
  local key = self.origin .. path
  local entry = shared_of[self].entries[key]
  if entry ~= nil then return entry or nil end
  local rows = shared_of[self].db:exec(GET, key)
  local row = rows and rows[1]
  local value = row and plain.decode(row.value_json)
  if type(value) ~= "table" or type(value.text) ~= "string" then return nil end
  value.at = time.monotonic() - (row.now - row.updated_at) / 1000
  return value
end

function Cache:put(path, entry)
  local key = self.origin .. path
  shared_of[self].entries[key] = entry or false
  shared_of[self].dirty[key] = true
end

function Shared:_resources(batch)
  for key in pairs(self.dirty) do
    local entry = self.entries[key]
    if entry and #entry.text <= RESOURCE_MAX then
      local value = plain.write { text = entry.text, etag = entry.etag, correlation_id = entry.correlation_id }
      value = cleaned.json(value)
      batch[#batch + 1] = { PUT, "resource", key, value, entry.kept and KEEP_MADE or KEEP_RESOURCE }
    else
      batch[#batch + 1] = { DELETE, "resource", key }
    end
  end
  self.dirty = {}
end

-- ---- the life of it ----

function Shared:save()
  local batch = {}
  self:_changed(batch)
  self:_resources(batch)
  if #batch == 0 then return true end
  batch[#batch + 1] = { TIDY }
  return self.db:batch(batch)
end

function Shared:_watch()
  local told = false
  while true do
    task.sleep(EVERY)
    local ok, err = self:save()
    if ok then ok, err = self:look() end
    if not ok and not told then
      log.warn("what other processes know of the gateway can't be shared: %s", err.message)
    end
    told = not ok
  end
end

-- shared.open(db) -> what is shared through that store, read once.
function M.open(db)
  local self = setmetatable({ db = db, seen = {}, at = {}, entries = {}, dirty = {} }, Shared)
  local ok, err = self:look()
  if not ok then log.warn("what other processes know of the gateway can't be read: %s", err.message) end
  return self
end

local of_session -- nil: not asked for; false: there is no store

-- shared.session() -> the session's, started at first use; or nil when its store can't be used.
function M.session()
  if of_session ~= nil then return of_session or nil end
  local db, err = require("moongate.store").session()
  if of_session ~= nil then return of_session or nil end -- another task was faster
  if not db then
    of_session = false
    log.info("nothing is shared with other processes: %s", err.message)
    return nil
  end
  local self = M.open(db)
  of_session = self
  local watcher = host.background(self._watch, self)
  closing.add("shared state", function()
    watcher:cancel()
    self:save()
  end)
  return self
end

-- shared:cache(base URL) -> a cache for gateway.open
function Shared:cache(base_url)
  local cache = setmetatable({ origin = base_url .. " " }, Cache)
  shared_of[cache] = self
  return cache
end

return M
