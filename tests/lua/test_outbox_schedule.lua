-- virtual clock. The outbox's schedule: ten tries over three days, in as long as the requests take.
local fake = require "fake_gateway"
local httpd = require "moongate.httpd"
local outbox = require "moongate.outbox"
local rows = require "moongate.queue.kinds.message"
local schedule = require "moongate.outbox.schedule"
local sender = require "moongate.outbox.sender"
local store = require "moongate.store"
local t = require "moongate.test"
local time = require "moongate.time"
local workflow = require "moongate.workflow"

local quiet = { error = function() end, warn = function() end, info = function() end, debug = function() end }
local WAITS = { 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400 }

-- A receiver that notes when it was asked.
local function receiver(answer)
  local times, ids = {}, {}
  local server = assert(httpd.serve { handler = function(req)
    times[#times + 1] = time.now()
    ids[req.headers["webhook-id"]] = true
    return answer(#times)
  end })
  return server, times, ids
end

local function begin(db, hooks)
  local definition = workflow.define { name = "w", summary = "s", run = function(run) run:webhook("e", {}) end }
  workflow.execute(definition, {}, { project = { webhooks = hooks }, audit = fake.audit(), store = db })
end

-- `moongate queue flush --watch`, until nothing is left to do.
local function watch(db, hooks)
  local env = outbox.env { db = db, audit = fake.audit(), log = quiet, webhooks = hooks }
  return sender.watch(env, { poll = 3600, idle = function(ms) return ms == nil end }), env
end

t.test("the waits are Standard Webhooks', with jitter, and Retry-After is their floor", function()
  t.eq(schedule.TRIES, 10)
  for i, seconds in ipairs(WAITS) do
    t.eq(schedule.wait(i, 0.5), seconds * 1.0)
    t.ok(math.abs(schedule.wait(i, 0) - seconds * 0.9) < 1e-6)
    t.ok(math.abs(schedule.wait(i, 1) - seconds * 1.1) < 1e-6)
  end
  t.eq(schedule.wait(10, 0.5), nil)
  t.eq(schedule.wait(1, 0.5, 100), 100)
  t.eq(schedule.wait(4, 0.5, 100), 7200.0)
  t.eq(schedule.wait(1, 0.5, 1e9), 86400, "nobody makes us wait for years")
end)

t.test("ten tries, then a dead letter", function()
  local db = assert(store.open "sqlite::memory:")
  local server, times, ids = receiver(function() return { status = 400 } end)
  local hooks = { a = { url = server.url } }
  begin(db, hooks)
  local total, env = watch(db, hooks)
  server:stop()
  t.eq(#times, 10)
  t.eq({ total.pending, total.dead }, { 8, 1 })
  for i = 2, 10 do
    local waited = times[i] - times[i - 1]
    t.ok(waited >= WAITS[i - 1] * 0.9 - 0.01 and waited <= WAITS[i - 1] * 1.1 + 1, ("try %d: %g s"):format(i, waited))
  end
  local n = 0
  for _ in pairs(ids) do n = n + 1 end
  t.eq(n, 1, "one id")
  local row = rows.list(db, rows.STATES, 1)[1]
  t.eq({ row.state, row.tries, row.attempts, row.last_status }, { "dead", 10, 10, 400 })
  local last = env.audit.lines[#env.audit.lines]
  t.eq({ last.action, last.tries, last.reason }, { "webhook_dead_letter", 10, "failed after 10 attempts" })
  db:close()
end)

t.test("a receiver that comes back after two days gets its messages", function()
  local db = assert(store.open "sqlite::memory:")
  local back = time.now() + 2 * 86400
  local server, times = receiver(function() return { status = time.now() < back and 503 or 204 } end)
  local hooks = { a = { url = server.url }, b = { url = server.url .. "/b" } }
  begin(db, hooks)
  t.eq(watch(db, hooks).delivered, 2)
  server:stop()
  t.ok(times[#times] >= back)
  t.eq(rows.counts(db).done, 2)
  db:close()
end)

t.test("Retry-After of a later try is waited for", function()
  local db = assert(store.open "sqlite::memory:")
  local server, times = receiver(function(n)
    if n == 1 then return { status = 400 } end
    if n == 2 then return { status = 429, headers = { ["Retry-After"] = "4000" } } end
    return { status = 200 }
  end)
  local hooks = { a = { url = server.url } }
  begin(db, hooks)
  t.eq(watch(db, hooks).delivered, 1)
  server:stop()
  t.ok(times[3] - times[2] >= 4000, tostring(times[3] - times[2]))
  db:close()
end)

t.test("a receiver that is left alone costs no try", function()
  local db = assert(store.open "sqlite::memory:")
  local server, times = receiver(function() return { status = 500 } end)
  local hooks = { a = { url = server.url } }
  for _ = 1, 3 do begin(db, hooks) end -- ten failures in a row: the third is not sent
  for _, row in ipairs(rows.list(db, rows.STATES, 9)) do
    t.eq(row.tries, row.attempts > 0 and 1 or 0)
  end
  t.eq(#times, 10)
  t.eq(watch(db, hooks).dead, 3)
  server:stop()
  db:close()
end)
