-- steps.lua - run:step, run:read, run:sleep and run:timeout in a run that has a journal. For workflow.lua,
-- workflow/run.lua and journal/drawn.lua only.

local argument = require "moongate.argument"
local errors = require "moongate.error"
local journal = require "moongate.journal"
local record = require "moongate.journal.record"
local scope = require "moongate.scope"
local task = require "moongate.task"

local M = {}

local unpack_kept = record.decode

-- ---- steps ----

-- A step that may have sent something, and nobody can tell: the run stops there, and says what to look at.
local function unknown(rec, err)
  local j = rec.journal
  local stop = errors.new {
    code = "unknown_outcome", outcome = "unknown", method = err.method, path = err.path, where = rec.place,
    message = ("step '%s' was started before the interruption; its outcome is unknown: it is not sent again (%s)")
      :format(rec.name, err.message),
    hint = ("Check %s; then `moongate runs resume %s --redo '%s'` if it had no effect, --skip '%s' if it had.")
      :format(err.path or "what it changes", j.id, rec.name, rec.name),
  }
  j.unknown[#j.unknown + 1] = { step = rec.name, error = stop }
  return stop
end

local OPTIONS = {
  reconcile = "function", webhook = "function", told = "function", idempotent = "boolean", intent = "any",
  again = "any",
}

local function finish(run, rec, opts, results)
  local outbox = require "moongate.outbox"
  if opts.webhook then
    local event, data, more = opts.webhook(table.unpack(results, 1, results.n))
    if event ~= nil then outbox.add(run, rec, event, data, more) end
  end
  rec:done(results, outbox.statements(rec))
end

local function perform(run, rec, fn, opts)
  if rec.state ~= nil then rec.journal:anew(rec) end
  local begun_before = rec.state == "started"
  if begun_before and opts.reconcile then
    local found = table.pack(rec:inside({ guarded = true }, function() return opts.reconcile(rec:intent().intent) end))
    if found[1] ~= nil then return finish(run, rec, opts, found) end
    begun_before = false
  end
  local guarded = begun_before and not opts.idempotent
  return rec:inside({ guarded = guarded }, function()
    if rec.state ~= "started" then rec:start { intent = opts.intent } end
    local refused = scope.refused()
    if guarded then rec.unsure = 1 end -- whatever it fails with now, it may have taken effect before
    local results = table.pack(pcall(fn))
    if results[1] then return finish(run, rec, opts, table.pack(table.unpack(results, 2, results.n))) end
    local err = results[2]
    local own = errors.is(err) and err.guarded
    if own or guarded and scope.refused() > refused then
      error(unknown(rec, own and err or { message = "a request was refused: " .. tostring(err) }), 0)
    end
    if opts.idempotent then rec.unsure = 0 end
    rec:fail(err)
    error(err, 0)
  end)
end

-- Whether a step that was done is made again: what it found then, a failed test, is to be found out anew.
local function wants_again(opts, rec)
  if type(opts.again) ~= "function" or rec.journal.checking then return false end
  return opts.again(unpack_kept(rec.result_json)) and true or false
end

-- run:step
function M.step(run, name, fn, opts)
  opts = opts or {}
  argument.options("run:step", opts, OPTIONS, 2)
  local j = run.journal
  local rec = j:visit("step", name)
  if rec.state == "done" and wants_again(opts, rec) then -- as the next one of its name
    j:anew(rec)
    return M.step(run, name, fn, opts)
  end
  if rec.state == "done" then
    local outbox = require "moongate.outbox"
    if not j.checking then
      local notes = rec:told() and journal.quietly(outbox.replayed, run, outbox.step(rec)) or {}
      if opts.told then opts.told(notes) end
    end
    return unpack_kept(rec.result_json)
  end
  if rec:failed_for_good(true) and not (opts.again and not j.checking) then rec:raise() end
  if j.checking then j:needs(("step '%s' was started and has no outcome"):format(name)) end
  if rec.state == "started" and j.redo and j.redo[name] then rec.state = "failed" end
  if rec.state == "started" and j.skip and j.skip[name] then
    rec:done { n = 0 }
    return unpack_kept(rec.result_json)
  end
  perform(run, rec, fn, opts)
  local notes = journal.quietly(require("moongate.outbox").committed, run, rec)
  if opts.told then opts.told(notes) end
  return unpack_kept(rec.result_json)
end

-- ---- reads ----

-- run:read(name, fn)
function M.read(run, name, fn)
  local j = run.journal
  local rec = j:visit("read", name)
  -- It sees what it saw where anything was done with that; a run that only failed looks again.
  local kept = rec.state == "done" and (j.checking or j:effect_behind(rec.path, rec.at))
  if kept then return unpack_kept(rec.result_json) end
  if j.checking then j:needs(("read '%s'"):format(name)) end
  if rec.state == "done" then j:looked_again(rec) end
  local results = rec:inside({ open = true }, function() return table.pack(fn()) end)
  rec:remember(results)
  return unpack_kept(rec.result_json)
end

-- ---- time ----

local function now_of(j)
  return assert(j.db:now())
end

-- What is left, in ms, of the time of a record that waits: until the deadline that it was begun with, and never more
-- than it was to wait: the clock may have been set back since, or be another machine's.
local function left_of(rec, seconds)
  local whole, kept = math.ceil(seconds * 1000), rec:intent().deadline
  if kept then return math.min(kept - now_of(rec.journal), whole) end
  rec:start { deadline = now_of(rec.journal) + whole }
  return whole
end

-- run:sleep(seconds)
function M.sleep(run, seconds)
  local j = run.journal
  local rec = j:visit("sleep", "sleep")
  if rec.state == "done" then return end
  if j.checking then j:needs "a sleep that was not over" end
  local left = left_of(rec, seconds)
  if left > 0 then journal.pause(task.sleep, left / 1000) end
  rec:remember { n = 0 }
end

local NEVER = 86400 * 1000 -- ms: in a check nothing takes that long

-- fn() in a task of its own, until the record's time is over -> its results packed; raises
local function timed(rec, seconds, left, fn)
  local outcome, err
  if left > 0 then
    err = select(2, task.timeout(left / 1000, function() outcome = table.pack(pcall(fn)) end))
  end
  if outcome and not outcome[1] then error(outcome[2], 0) end
  if outcome then return table.pack(table.unpack(outcome, 2, outcome.n)) end
  if err and err.code ~= "timeout" then error(err, 0) end
  errors.raise {
    code = "timeout", message = ("run:timeout: not within %g s"):format(seconds), where = rec.place,
  }
end

-- run:timeout(seconds, fn)
function M.timeout(run, seconds, fn)
  local j = run.journal
  local rec = j:visit("timeout", "timeout")
  if rec.state == "done" then return unpack_kept(rec.result_json) end
  if rec.state == "failed" and not j.checking and rec:failed_for_good() then rec:raise() end
  if rec.state == "failed" then j:anew(rec) end
  local left = not j.checking and left_of(rec, seconds) or NEVER
  local ok, results = pcall(rec.inside, rec, { passing = true, open = true }, function()
    return timed(rec, seconds, left, fn)
  end)
  if ok and j.checking then return table.unpack(results, 1, results.n) end
  if ok then
    rec:done(results)
    return unpack_kept(rec.result_json)
  end
  if not j.checking then rec:fail(results) end
  error(results, 0)
end

-- ---- what a script draws ----

-- splitmix64: numbers that are the same again for the same seed.
local function stream(seed)
  return function()
    seed = seed + 0x9E3779B97F4A7C15
    local z = seed
    z = (z ~ (z >> 30)) * 0xBF58476D1CE4E5B9
    z = (z ~ (z >> 27)) * 0x94D049BB133111EB
    return z ~ (z >> 31)
  end
end

local function between(next_number, low, high)
  local range = high - low -- unsigned
  local mask = range
  for _, by in ipairs { 1, 2, 4, 8, 16, 32 } do mask = mask | mask >> by end
  while true do
    local n = next_number() & mask
    if not math.ult(range, n) then return low + n end
  end
end

-- M.random(plain, …) -> math.random(…) for a script: in a run, outside of its steps, it gives the same when the run is
-- taken up. plain: math.random
function M.random(plain, ...)
  local numbers = journal.current():numbers(stream)
  if not numbers then return plain(...) end
  local low, high = ...
  if low == nil then return (numbers() >> 11) * 2.0 ^ -53 end
  if high == nil then
    if low == 0 then return numbers() end
    low, high = 1, low
  end
  local first, last = math.tointeger(low), math.tointeger(high)
  if not first or not last or first > last then return plain(...) end -- which says what is wrong
  return between(numbers, first, last)
end

return M
