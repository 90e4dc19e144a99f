-- lease.lua - what may be written by one process at a time: a run, a resource. A lease is a row of the store with a
-- holder and an end; a task of this process pushes the end further while it lives. A holder that is gone from this
-- machine is taken over from at once, one of another machine when its lease has run out.
--
-- Before each write the leases are checked: a process that stood still finds out before it sends anything. What this
-- process holds is shared by its tasks. For trusted code only.

local backoff = require "moongate.backoff"
local closing = require "moongate.closing"
local holder = require "moongate.holder"
local host = require "moongate.host"
local journal = require "moongate.journal"
local log = require "moongate.log"
local rows = require "moongate.lease.rows"
local task = require "moongate.task"
local time = require "moongate.time"
local words = require "moongate.lease.words"

local M = {}

M.TTL = 30            -- seconds a lease lasts, unless it is renewed; renewed after a third of it
local POLL = { base = 0.05, cap = 0.5, low = 0.5, high = 1.5 } -- between two tries of one who waits

local Leases = {} -- what this process holds in one store: {db, me, ttl, held = name -> entry}
Leases.__index = Leases

-- runs: those of `held` that are a run's, which every write of this process needs.
-- An entry: {name, fence, count = scopes that share it, good_until = monotonic seconds, lost = error | nil}

-- lease.open(db [, {ttl = seconds, process = as host.process}]) -> the leases of this process in that store.
function M.open(db, opts)
  local process = opts and opts.process or host.process()
  return setmetatable({
    db = db, process = process, me = holder.name(process), ttl = opts and opts.ttl or M.TTL, held = {},
    runs = {}, gate = task.semaphore(1),
  }, Leases)
end

local by_store = setmetatable({}, { __mode = "k" })

-- lease.of(db) -> the same for everybody who asks; given back at the end of the program.
function M.of(db)
  local all = by_store[db]
  if not all then
    all = M.open(db)
    by_store[db] = all
    closing.add("leases", function() all:close() end)
  end
  return all
end

local function sorted_set(names)
  local seen, out = {}, {}
  for _, name in ipairs(type(names) == "table" and names or { names }) do
    if not seen[name] then out[#out + 1] = name end
    seen[name] = true
  end
  table.sort(out)
  return out
end

-- ---- taking ----

-- Those of the names that others hold, and name -> holder for those whose holder is gone; or nil, err.
function Leases:_others(names)
  local found, err = rows.read(self.db, names)
  if not found then return nil, err end
  local live, gone = {}, {}
  for _, name in ipairs(names) do
    local row = found[name]
    if row and row.holder and row.holder ~= self.me and row.expires_at > row.now then
      if words.life(row) == "gone" then
        gone[name] = row.holder
        log.warn("%s was locked by %s, which has died: taken over", name, words.holder(row))
      else
        live[#live + 1] = row
      end
    end
  end
  return live, gone
end

-- One try for the names that this process does not hold: true; or nil, err ("conflict": told who holds them). look:
-- read first whether it is of any use: those who wait in line write nothing.
function Leases:_take(names, opts, look)
  local missing = {}
  for _, name in ipairs(names) do
    local entry = self.held[name]
    if not entry or entry.lost then missing[#missing + 1] = name end
  end
  if #missing == 0 then return true end
  local info = { process = self.process }
  for key, value in pairs(opts.info or {}) do info[key] = value end
  local by = { holder = self.me, run_id = opts.run_id, info = info, ttl = math.ceil(self.ttl * 1000) }
  local gone = {}
  if look then
    local live, dead = self:_others(missing)
    if not live then return nil, dead end
    if #live > 0 then return nil, words.taken(live) end
    gone = dead
  end
  for _ = 1, 3 do -- a second time without those who are gone, a third for one who gave up meanwhile
    local before = time.monotonic()
    local fences, err = rows.take(self.db, missing, by, gone)
    if fences then
      for name, fence in pairs(fences) do
        local entry = { name = name, fence = fence, count = 0, good_until = before + self.ttl }
        self.held[name], self.used = entry, true
        if name:find "^run " then self.runs[name] = entry end
      end
      return true
    end
    if err.code ~= "conflict" then return nil, err end
    local live, dead = self:_others(missing)
    if not live then return nil, dead end
    if #live > 0 then return nil, words.taken(live) end
    gone = dead
  end
  return nil, words.busy(missing[1])
end

-- ---- a scope: what one run, or one write, holds ----

local Scope = {} -- {opts, entries = name -> entry}
Scope.__index = Scope

-- Scope -> the leases it is of: not in the scope, which a run's script gets hold of.
local leases_of = setmetatable({}, { __mode = "k" })

-- leases:scope{wait = seconds (0: not at all), run_id, info = {command = …}, note = function(line)} -> a scope, which
-- holds nothing yet.
function Leases:scope(opts)
  local scope = setmetatable({ opts = opts or {}, entries = {} }, Scope)
  leases_of[scope] = self
  return scope
end

-- scope:take(name, or a list of names) -> true | nil, err. All of them or none; what it holds already is no matter.
function Scope:take(names)
  local leases, wanted = leases_of[self], {}
  for _, name in ipairs(sorted_set(names)) do
    if not self.entries[name] then wanted[#wanted + 1] = name end
  end
  if #wanted == 0 then return true end
  local wait, tries, told = time.monotonic() + (self.opts.wait or 0), 0, false
  while true do
    local ok, err = leases.gate:with(leases._enter, leases, wanted, self, told)
    if ok then return true end
    local left = wait - time.monotonic()
    if err.code ~= "conflict" or left <= 0 then return nil, err end
    if not told and self.opts.note then self.opts.note("waiting: " .. err.message) end
    told = true -- and look before the next try
    tries = tries + 1
    journal.pause(task.sleep, math.min(left, backoff.wait(POLL, tries))) -- Ctrl-C ends it, in a write, too
  end
end

function Leases:_enter(names, scope, again)
  local ok, err = self:_take(names, scope.opts, again)
  if not ok then return nil, err end
  for _, name in ipairs(names) do
    local entry = self.held[name]
    entry.count = entry.count + 1
    scope.entries[name] = entry
  end
  self:_renew_while_held()
  journal.watch_requests()
  return true
end

function Scope:holds(name)
  return self.entries[name] ~= nil
end

-- ---- renewing ----

-- What of `before` (name -> entry, held when the renewal was asked for) the store does not know as ours any more.
local function note_lost(self, before, fences)
  for name, entry in pairs(before) do
    if self.held[name] == entry and fences[name] ~= entry.fence and not entry.lost then
      entry.lost = words.lost(name)
      log.error("%s", entry.lost.message)
    end
  end
end

local function renew(self)
  local before, asked = {}, time.monotonic()
  for name, entry in pairs(self.held) do before[name] = entry end
  local fences, err = rows.renew(self.db, self.me, math.ceil(self.ttl * 1000))
  if not fences then
    log.warn("leases could not be renewed: %s", err.message)
    return
  end
  for name, entry in pairs(before) do
    if fences[name] == entry.fence then entry.good_until = asked + self.ttl end
  end
  note_lost(self, before, fences)
end

function Leases:_renew_while_held()
  if self.renewer then return end
  self.renewer = host.background(function()
    while next(self.held) do
      task.sleep(self.ttl / 3)
      if next(self.held) then renew(self) end
    end
    self.renewer = nil
  end)
end

-- ---- checking ----

-- The entries that must hold for a write: that of `name`, and the run's.
local function needed(self, name)
  local out = { self.entries[name] }
  for other, entry in pairs(leases_of[self].runs) do
    if other ~= name then out[#out + 1] = entry end
  end
  return out
end

-- One entry against its row as the store has it now. true | nil, err
local function confirm(leases, entry, row, asked)
  if not row or row.holder ~= leases.me or row.fence ~= entry.fence then
    entry.lost = entry.lost or words.lost(entry.name, row)
    return nil, entry.lost
  end
  entry.good_until = asked + (row.expires_at - row.now) / 1000
  return true
end

-- By this process's clock alone.
local function still(leases, entries)
  local margin = leases.ttl / 6
  for _, entry in ipairs(entries) do
    if entry.lost then return nil, entry.lost end
    if time.monotonic() > entry.good_until - margin then return nil, words.late(entry.name) end
  end
  return true
end

-- By the store: the fence tells.
local function check(leases, entries)
  for _ = 1, 2 do
    local names, asked = {}, time.monotonic()
    for i, entry in ipairs(entries) do
      if entry.lost then return nil, entry.lost end
      names[i] = entry.name
    end
    local found, err = rows.read(leases.db, names)
    if not found then return nil, err end
    for _, entry in ipairs(entries) do
      local ok
      ok, err = confirm(leases, entry, found[entry.name], asked)
      if not ok then return nil, err end
    end
    if still(leases, entries) then return true end
    renew(leases)
  end
  return nil, words.late(entries[1].name)
end

-- scope:check(name) -> true | nil, err. Asks the store whether the lease on name, and the run's, are still ours. One
-- that ran out while nobody took it is renewed.
function Scope:check(name)
  return check(leases_of[self], needed(self, name))
end

-- scope:still(name) -> true | nil, err. As check, but asks only this process's clock: for the moment before sending.
function Scope:still(name)
  return still(leases_of[self], needed(self, name))
end

-- ---- right before a request goes out ----

local writing = setmetatable({}, { __mode = "k" }) -- coroutine -> {scope, name}: the write under way in it

-- scope:while_writing(name, fn, …) -> as pcall(fn, …). Requests of this coroutine are sent only while the lease is
-- ours.
function Scope:while_writing(name, fn, ...)
  local co = coroutine.running()
  local before = writing[co]
  writing[co] = { self, name }
  local results = table.pack(pcall(fn, ...))
  writing[co] = before
  return table.unpack(results, 1, results.n)
end

-- After a back-off or a wait for a token, another process may have taken over long ago.
function journal.confirm(context)
  local write = writing[coroutine.running()]
  if write then return write[1]:check(write[2]) end
  local leases, entries = context and by_store[context.journal.db], {}
  for _, entry in pairs(leases and leases.runs or {}) do entries[#entries + 1] = entry end
  if #entries == 0 then return true end
  return check(leases, entries)
end

-- ---- giving back ----

-- The entries of the scope that nobody else shares, as what rows.release takes; the scope holds nothing after that.
local function leave(self)
  local free = {}
  for name, entry in pairs(self.entries) do
    entry.count = entry.count - 1
    if entry.count == 0 then
      if leases_of[self].held[name] == entry then leases_of[self].held[name] = nil end
      if leases_of[self].runs[name] == entry then leases_of[self].runs[name] = nil end
      if not entry.lost then free[#free + 1] = entry end
    end
  end
  self.entries = {}
  table.sort(free, function(a, b) return a.name < b.name end)
  return free
end

-- scope:release(): gives back what it holds. A failure is logged: the leases run out by themselves.
function Scope:release()
  local leases, free = leases_of[self], leave(self)
  if #free == 0 then return end
  local ok, err = leases.gate:with(rows.release, leases.db, leases.me, free)
  if not ok then log.warn("leases could not be given back, and run out by themselves: %s", err.message) end
end

-- A task that is being closed can't wait for the store: another one does.
function Scope:__close()
  if next(self.entries) then pcall(host.background, self.release, self) end
end

-- leases:close(): gives back everything, and renews no more.
function Leases:close()
  if self.renewer then self.renewer:cancel() end
  self.renewer = nil
  self.held, self.runs = {}, {}
  if self.used then rows.release_all(self.db, self.me) end
  self.used = nil
end

-- lease.acquire(db, name | names [, {wait, run_id, info, note}]) -> scope | nil, err
function M.acquire(db, names, opts)
  local scope = M.of(db):scope(opts)
  local ok, err = scope:take(names)
  if not ok then return nil, err end
  return scope
end

-- lease.session([{wait =, run_id =, info =, note =}]) -> a scope in the session's store; or nil, err when that can't be
-- used. wait: --wait when it is not given.
function M.session(opts)
  local db, err = require("moongate.store").session()
  if not db then return nil, err end
  local all = { wait = host.options().wait }
  for key, value in pairs(opts or {}) do all[key] = value end
  return M.of(db):scope(all)
end

return M
