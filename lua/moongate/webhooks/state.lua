-- state.lua - what is remembered of webhooks from one delivery to the next: which are disabled, and what was not
-- delivered in this run. In memory it lives as long as the run; with a store, what is disabled stays so until
-- `moongate queue retry`.

local stored_url = require "moongate.webhooks.stored_url"
local time = require "moongate.time"

local M = {}

local SHOWN = 100 -- undelivered messages that are kept for the result; beyond it they are only counted

local Memory = {}
Memory.__index = Memory

-- A webhook that got a new URL is another one. One of the simulated gateway is known by what the store calls it.
local function url_of(hook)
  return hook.stored_url or stored_url.of(hook.url)
end

local function key_of(hook)
  return hook.name .. " " .. url_of(hook)
end

-- Why no more messages go to the webhook {name, url}, or nil when they do.
function Memory:disabled(hook)
  return self._disabled[key_of(hook)]
end

-- It answered 410 Gone.
function Memory:disable(hook)
  self._disabled[key_of(hook)] = "it answered 410 Gone earlier in this run"
end

-- message: {webhook =, event =, id =, error =, kept = whether it is tried again, dead = why not}
function Memory:missed(message)
  self._total = self._total + 1
  if message.kept then self._kept = self._kept + 1 end
  if message.dead then self._dead = self._dead + 1 end
  if self._total <= SHOWN then self._first[self._total] = message end
end

-- -> {total, kept, dead} of the messages that were not delivered, the first of them
function Memory:undelivered()
  return { total = self._total, kept = self._kept, dead = self._dead }, self._first
end

local function new(class, more)
  local self = { _disabled = {}, _total = 0, _kept = 0, _dead = 0, _first = {} }
  for k, v in pairs(more or {}) do self[k] = v end
  return setmetatable(self, class)
end

function M.memory()
  return new(Memory)
end

-- ---- with a store ----

local Stored = setmetatable({}, { __index = Memory })
Stored.__index = Stored

function Stored:disabled(hook)
  local rows = assert(self.db:exec("SELECT disabled, at FROM webhook_state WHERE webhook = $1 AND url = $2", hook.name,
    url_of(hook)))
  local row = rows[1]
  return row and row.disabled and ("%s (%s); moongate queue retry enables it again"):format(row.disabled,
    time.iso(row.at / 1000))
end

function Stored:disable(hook)
  assert(self.db:exec([[INSERT INTO webhook_state (webhook, url, disabled, at) VALUES ($1, $2, $3, {now})
    ON CONFLICT (webhook, url) DO UPDATE SET disabled = excluded.disabled, at = excluded.at]], hook.name, url_of(hook),
    "it answered 410 Gone"))
end

-- Somebody has seen to it.
function Stored:enable(name, url)
  assert(self.db:exec("DELETE FROM webhook_state WHERE webhook = $1 AND url = $2", name, url))
end

function M.stored(db)
  return new(Stored, { db = db })
end

return M
