-- virtual clock. A run's journal: what was done is not done again, wherever the run was cut off. Runs on both forms of
-- the store (tests/e2e/postgres.t).
local errors = require "moongate.error"
local fixture = require "run_fixture"
local host = require "moongate.host"
local journal = require "moongate.journal"
local runs = require "moongate.runs"
local t = require "moongate.test"
local task = require "moongate.task"
local workflow = require "moongate.workflow"

local define = fixture.define

local function test(name, fn)
  t.test(name, function()
    local db = fixture.store()
    local ok, err = pcall(fn, db)
    db:close()
    if not ok then error(err, 0) end
  end)
end

test("a step that was done is not done again, and gives the same plain data", function(db)
  local calls = 0
  local definition = define(function(run)
    local a, b = run:step("one", function()
      calls = calls + 1
      return { n = calls, list = { 1, 2.5 }, empty = {} }, "second"
    end)
    local nothing = run:step("two", function() end)
    return { a = a, b = b, nothing = nothing == nil }
  end)
  local first = assert(fixture.live(db, definition, { id = "r" }))
  local again = assert(fixture.live(db, definition, { id = "r" }))
  t.eq(calls, 1)
  t.eq(again.data, first.data)
  t.eq(again.data.a.n, 1)
  t.eq(again.data.b, "second")
  t.eq(runs.get(db.real, "r").status, "done")
  local records = runs.records(db, "r")
  t.eq(#records, 2)
  t.eq({ records[1].name, records[1].n, records[1].path, records[1].state }, { "one", 1, "", "done" })
  t.ok(records[1].place:find "test_journal.lua:%d+$")
end)

test("a process that stood still while its run was taken over writes nothing into it", function(db)
  for _, ends in ipairs { "well", "badly", "between" } do
    local second
    local definition = define(function(run)
      run:step("one", function()
        if second then return "second" end
        second = runs.take_up(db, runs.get(db.real, ends)) -- another process: this one stood still
        second:within(function() return workflow.execute(define(function(other)
          other:step("one", function() return "second" end, { idempotent = true })
          if ends ~= "between" then other:step("two", function() return 2 end) end
          return {}
        end), {}, { journal = second, audit = require "fake_gateway".audit(), project = {} }) end)
        if ends == "badly" then error("too late", 0) end
        return "first"
      end)
    end)
    local _, err = fixture.live(db, definition, { id = ends })
    t.eq(err.code, "run_cancelled", ends)
    t.eq(runs.get(db.real, ends).status, "running", ends)
    local records = runs.records(db, ends)
    t.eq({ records[1].state, records[1].result_json }, { "done", '["second"]' }, ends)
    assert(runs.finish(second, "done", {}))
    t.eq(runs.get(db.real, ends).status, "done", ends)
  end
end)

test("steps of the same name are told apart by their number, those of tasks by their path", function(db)
  local calls = {}
  local definition = define(function(run)
    for i = 1, 2 do run:step("same", function() return i end) end
    return { list = assert(task.map({ 3, 1, 2 }, 3, function(wait, i)
      task.sleep(wait)
      return run:step("same", function()
        calls[#calls + 1] = i
        return task.all { function() return run:step("inner", function() return i * 10 end) end }
      end)[1]
    end)) }
  end)
  local first = assert(fixture.live(db, definition, { id = "r" }))
  t.eq(calls, { 2, 3, 1 })
  t.eq(first.data.list, { 10, 20, 30 })
  local again = assert(fixture.live(db, definition, { id = "r" }))
  t.eq(#calls, 3)
  t.eq(again.data.list, { 10, 20, 30 })
  local paths = {}
  for _, rec in ipairs(runs.records(db, "r")) do paths[#paths + 1] = rec.path .. " " .. rec.name .. " " .. rec.n end
  table.sort(paths)
  t.eq(paths, { " same 1", " same 2", "1 same 1", "1:1.1 inner 1", "2 same 1", "2:1.1 inner 1", "3 same 1",
    "3:1.1 inner 1" })
end)

test("cut off at any batch and taken up again, each step's work is done once or was not known to be", function(db)
  for n = 2, 8 do
    for _, when in ipairs { "before", "after" } do
      local done = { 0, 0, 0 }
      local definition = define(function(run)
        local sum = 0
        for i = 1, 3 do
          sum = sum + run:step("step " .. i, function()
            done[i] = done[i] + 1
            return i
          end)
        end
        return { sum = sum }
      end)
      local id = n .. when
      db.crash(n, when)
      local _, err = fixture.live(db, definition, { id = id })
      db.crash(nil)
      if n < 8 then t.eq(err.code, "crashed") end
      local out = assert(fixture.live(db, definition, { id = id }))
      t.eq(out.data.sum, 6, id)
      for i = 1, 3 do
        local start = 2 * i -- the batch of its START; the next one is its DONE
        t.eq(done[i], n == start + 1 and when == "before" and 2 or 1, ("%s: step %d"):format(id, i))
      end
    end
  end
end)

test("a step that failed is done again when the run is taken up", function(db)
  local fail, calls = true, 0
  local definition = define(function(run)
    run:step("first", function() calls = calls + 1 end)
    run:step("second", function()
      if fail then errors.raise { code = "connect", message = "no gateway" } end
    end)
  end)
  local _, err = fixture.live(db, definition, { id = "r" })
  t.eq(err.message, "no gateway")
  t.eq(runs.get(db.real, "r").status, "failed")
  fail = false
  local _, none = fixture.live(db, definition, { id = "r" })
  t.eq(none, nil)
  t.eq(calls, 1)
  t.eq(#runs.records(db, "r"), 2)
end)

-- A run that is cut off in the middle of the step "send", and taken up again.
local function cut_in_send(db, send, opts, live)
  local function definition()
    return define(function(run) return { sent = run:step("send", send, opts) } end)
  end
  db.crash(3)
  fixture.live(db, definition(), { id = "r" })
  db.crash(nil)
  local all = { id = "r" }
  for k, v in pairs(live or {}) do all[k] = v end
  return fixture.live(db, definition(), all)
end

local http = require "moongate.http"

local function post() return assert(http.post("http://127.0.0.1:1/things", { deadline = 0.01 })) and true end

test("a step that may have sent what must not be sent twice stops the run, and says what to look at", function(db)
  local tries = 0
  local _, err, j = cut_in_send(db, function()
    tries = tries + 1
    if tries == 1 then return true end
    pcall(post) -- a script that looks away
    return post()
  end)
  t.eq(err.code, "unknown_outcome")
  t.ok(err.message:find "step 'send' was started before the interruption", err.message)
  t.ok(err.hint:find "http://127.0.0.1:1/things", err.hint)
  t.ok(err.hint:find "moongate runs resume r %-%-redo 'send'", err.hint)
  t.eq(#j.unknown, 1)
  t.eq(runs.get(db.real, "r").status, "stopped")
  t.eq(runs.records(db, "r")[1].state, "started")
end)

test("--redo does it again, --skip takes it as done", function(db)
  local tries = 0
  local function send()
    tries = tries + 1
    if tries == 2 then post() end
    return tries
  end
  local _, err = cut_in_send(db, send)
  t.eq(err.code, "unknown_outcome")
  local out = assert(fixture.live(db, define(function(run) return { sent = run:step("send", send) } end),
    { id = "r", journal = { redo = { send = true } } }))
  t.eq(out.data.sent, 3)
end)

test("--skip takes a step as done", function(db)
  local tries = 0
  local out = assert(cut_in_send(db, function() tries = tries + 1 return tries end, nil,
    { journal = { skip = { send = true } } }))
  t.eq({ tries, out.data.sent }, { 1, nil })
end)

test("reconcile decides: what it finds is the result", function(db)
  local there, seen, tries = "found", nil, 0
  local opts = { intent = { id = 7 }, reconcile = function(intent)
    seen = intent
    return there
  end }
  local function send()
    tries = tries + 1
    return "sent"
  end
  t.eq(assert(cut_in_send(db, send, opts)).data.sent, "found")
  t.eq({ tries, seen }, { 1, { id = 7 } })
end)

test("reconcile that finds nothing", function(db)
  local tries = 0
  local out = assert(cut_in_send(db, function()
    tries = tries + 1
    if tries == 2 then t.eq(select(2, pcall(post)).code == "unknown_outcome", false) end
    return tries
  end, { reconcile = function() return nil end }))
  t.eq(out.data.sent, 2)
end)

test("an idempotent step is simply done again", function(db)
  local tries = 0
  local out = assert(cut_in_send(db, function()
    tries = tries + 1
    if tries == 2 then t.eq(select(2, pcall(post)).code == "unknown_outcome", false) end
    return tries
  end, { idempotent = true }))
  t.eq(out.data.sent, 2)
end)

test("what a step returns has to be plain data", function(db)
  local _, err = fixture.live(db, define(function(run) run:step("x", function() return print end) end), { id = "r" })
  t.ok(err.message:find "step 'x': what it returned can't be kept", err.message)
end)

test("a journal that does not fit the script is refused with both sides", function(db)
  local done = {}
  local function script(names)
    return define(function(run)
      for _, name in ipairs(names) do run:step(name, function() done[#done + 1] = name end) end
    end)
  end
  db.crash(6)
  fixture.live(db, script { "read", "put_index", "tell" }, { id = "r" })
  db.crash(nil)
  local _, err = fixture.live(db, script { "read", "get_index", "tell" }, { id = "r" })
  t.eq(err.code, "journal_mismatch")
  t.ok(err.message:find("journal[2] put_index / script[2] get_index", 1, true), err.message)
  t.ok(err.lines[1]:find "^journal%[2%] put_index  .*test_journal.lua:%d+$", err.lines[1])
  t.ok(err.lines[2]:find "^script%[2%] get_index  .*test_journal.lua:%d+$", err.lines[2])
  t.eq(done, { "read", "put_index" })
end)

test("a mismatch that the script looks away from refuses the run all the same", function(db)
  assert(fixture.live(db, define(function(run) run:step("a", function() end) end), { id = "r" }))
  local _, err = fixture.live(db, define(function(run)
    pcall(run.step, run, "b", function() end)
    pcall(run.step, run, "c", function() error "this must not run" end)
  end), { id = "r" })
  t.eq(err.code, "journal_mismatch")
end)

test("reads are as they were when the run is taken up behind them", function(db)
  local reads = 0
  local definition = define(function(run)
    local seen = run:read("look", function()
      reads = reads + 1
      return { n = reads }
    end)
    run:step("act", function() end)
    return { seen = seen.n }
  end)
  db.crash(3)
  fixture.live(db, definition, { id = "r" })
  db.crash(nil)
  t.eq(assert(fixture.live(db, definition, { id = "r" })).data.seen, 1)
  t.eq(reads, 1)
end)

test("a read behind which only failures lie may lead elsewhere when it is made again", function(db)
  local there, verified = false, 0
  local definition = define(function(run)
    local ours = run:read("look", function() return { there = there } end)
    if not ours.there then
      run:step("create", function()
        there = true -- it took effect, and the answer says that it did not
        error(errors.new { code = "http", status = 501, message = "answered 501", outcome = "final" }, 0)
      end)
    end
    run:step("verify", function() verified = verified + 1 end)
    return { there = ours.there }
  end)
  local _, err = fixture.live(db, definition, { id = "r" })
  t.eq(err.status, 501)
  t.eq(assert(fixture.live(db, definition, { id = "r" })).data.there, true)
  t.eq(verified, 1)
  there = false
  t.eq(assert(fixture.live(db, definition, { id = "r" })).data.there, true) -- done behind it: not looked again
  t.eq(verified, 1)
end)

test("sleeps and timeouts keep their deadlines", function(db)
  local time = require "moongate.time"
  local definition = define(function(run)
    run:sleep(100)
    run:step("woken", function() end)
  end)
  local began = time.now()
  local job
  local _, err = fixture.live(db, definition, { id = "r", started = function(started)
    job = started
    task.spawn(function()
      task.sleep(30)
      job:cancel()
    end)
  end })
  t.eq(err.code, "cancelled")
  t.eq(runs.get(db.real, "r").status, "interrupted")
  t.ok(time.now() - began < 31)
  task.sleep(20)
  assert(fixture.live(db, definition, { id = "r" }))
  t.ok(math.abs(time.now() - began - 100) < 1, tostring(time.now() - began))
end)

test("a timeout raises when its time is over, also when that was while nothing ran", function(db)
  local n = 0
  local definition = define(function(run)
    return { value = run:timeout(10, function()
      local a = run:step("quick", function() n = n + 1 return n end)
      if n == 1 then task.sleep(60) end
      return a
    end) }
  end)
  local _, err = fixture.live(db, definition, { id = "late" })
  t.eq(err.code, "timeout")
  _, err = fixture.live(db, definition, { id = "late" })
  t.eq(err.code, "timeout")
  n = 1
  t.eq(assert(fixture.live(db, definition, { id = "good" })).data.value, 2)
  t.eq(assert(fixture.live(db, definition, { id = "good" })).data.value, 2)
end)

-- What checking a script against the journal of a run finds: mismatches, what was looked at no further.
local function check(db, definition, id)
  local j = journal.of_export(runs.export(db, runs.get(db, id)))
  task.spawn(function()
    j:within(function() return workflow.execute(definition, {}, { journal = j, project = {} }) end)
  end):join()
  return j.mismatches, j.stopped_at or {}, j:left_over()
end

test("a script is checked against a journal, also in what was cut off in a timeout, and tells what it does not reach",
  function(db)
    local function script(name)
      return define(function(run)
        run:timeout(10, function()
          run:step("a", function() end)
          run:step(name, function() end)
        end)
        run:step("c", function() end)
      end)
    end
    db.crash(5) -- begun, the timeout, a: START and DONE
    fixture.live(db, script "b", { id = "r" })
    db.crash(nil)
    local bad, stopped, left = check(db, script "b", "r")
    t.eq({ #bad, #left }, { 0, 0 })
    t.ok(stopped[1].what:find "step b was not come to", stopped[1].what)
    fixture.live(db, script "b", { id = "r" })
    bad, stopped, left = check(db, script "b", "r")
    t.eq({ #bad, #stopped, #left }, { 0, 0, 0 })
    bad = check(db, define(function(run) run:step("other", function() end) end), "r")
    t.ok(bad[1].message:find("journal[1] timeout / script[1] other", 1, true), bad[1].message)
    bad, stopped, left = check(db, define(function(run) run:timeout(10, function() end) end), "r")
    t.eq({ #bad, #stopped, left }, { 0, 0, { "journal[2] c" } })
  end)

test("values drawn between steps are the same again", function(db)
  local definition = define(function(run)
    local j = journal.current()
    local drawn = {}
    for i = 1, 3 do
      drawn[#drawn + 1] = j:value("x", function() return { i, math.random() } end)
      if i < 3 then run:step("s" .. i, function() end) end
    end
    return { drawn = drawn }
  end)
  db.crash(5)
  fixture.live(db, definition, { id = "r" })
  local kept = assert(db.real:exec "SELECT value_json FROM run_values ORDER BY n")
  t.eq(#kept, 2)
  db.crash(nil)
  local first = assert(fixture.live(db, definition, { id = "r" })).data.drawn
  local again = assert(fixture.live(db, definition, { id = "r" })).data.drawn
  t.eq(again, first)
end)

test("a run that was cancelled does not go on", function(db)
  local done = {}
  local _, err = fixture.live(db, define(function(run)
    run:step("one", function() done[#done + 1] = 1 end)
    runs.cancel(db, runs.get(db, "r"))
    run:step("two", function() done[#done + 1] = 2 end)
  end), { id = "r" })
  t.eq(err.code, "run_cancelled")
  t.eq(done, { 1 })
  t.eq(runs.get(db.real, "r").status, "cancelled")
end)

test("a stop finishes the step under way, and nothing after it", function(db)
  local done = {}
  local definition = define(function(run)
    for i = 1, 3 do
      run:step("s" .. i, function()
        task.sleep(10)
        done[#done + 1] = i
      end)
    end
  end)
  local _, err = fixture.live(db, definition, { id = "r", started = function(job)
    task.spawn(function()
      task.sleep(15)
      job:cancel()
    end)
  end })
  t.eq(err.code, "cancelled")
  t.eq(done, { 1, 2 })
  local records = runs.records(db, "r")
  t.eq({ #records, records[2].state }, { 2, "done" })
  local _, none = fixture.live(db, definition, { id = "r" })
  t.eq(none, nil)
  t.eq(done, { 1, 2, 3 })
end)

test("a fork has done what came before the step", function(db)
  local log = {}
  local definition = define(function(run)
    for _, name in ipairs { "a", "b", "c" } do
      run:step(name, function() log[#log + 1] = name end)
    end
  end)
  fixture.live(db, definition, { id = "r" })
  local fork = runs.fork(db, runs.get(db, "r"), "b")
  t.eq({ fork.parent, fork.parent_step, fork.status }, { "r", "b", "interrupted" })
  fixture.live(db, definition, { id = fork.id })
  t.eq(log, { "a", "b", "c", "b", "c" })
end)

test("ten thousand steps are taken up in a moment", function(db)
  local n = host.getenv "MOONGATE_GC_STRESS" and 100 or 10000
  local definition = define(function(run)
    for i = 1, n do run:step("s" .. i % 10, function() return { i = i } end) end
  end)
  fixture.live(db, definition, { id = "r" })
  local _, none, j = fixture.live(db, definition, { id = "r" })
  t.eq({ none, j.kept }, { nil, n })
end)
