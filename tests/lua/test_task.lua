-- virtual clock. Tasks: life, cancellation in every state, structured concurrency, semaphores.
local fs = require "moongate.fs"
local t = require "moongate.test"
local task = require "moongate.task"
local time = require "moongate.time"
local host = require "moongate.host"

local function closer(log, name)
  return setmetatable({}, { __close = function() log[#log + 1] = name end })
end

t.test("spawn and join hand over results", function()
  t.eq({ task.spawn(function(...) return ... end, 1, nil, "x"):join() }, { 1, nil, "x" })
  t.eq(select("#", task.spawn(function() end):join()), 0)
  t.eq(select("#", task.spawn(function() return nil end):join()), 1)
  t.eq(select("#", task.spawn(function() return nil, nil end):join()), 2)
  local child = task.spawn(function() return 7 end)
  t.eq(child:join(), 7)
  t.eq(child:join(), 7) -- again
  t.eq(child:status(), "done")
  local many = table.pack(task.spawn(function() return table.unpack({}, 1, 5000) end):join())
  t.eq(many.n, 5000)
end)

t.test("a task runs on the next turn, in order", function()
  local log = {}
  for i = 1, 3 do task.spawn(function() log[#log + 1] = i end) end
  t.eq(log, {})
  task.yield()
  t.eq(log, { 1, 2, 3 })
end)

t.test("sleep waits on the loop's clock", function()
  local start = time.monotonic()
  task.sleep(3600)
  local took = time.monotonic() - start
  t.ok(took >= 3600 and took < 3601, took)
  t.raises(function() task.sleep(-1) end, "seconds")
  t.raises(function() task.sleep(0 / 0) end, "seconds")
  t.raises(function() task.sleep "x" end, "number expected")
  task.sleep(0)
end)

t.test("sleeps end in the order of their times", function()
  local log = {}
  for _, s in ipairs { 3, 1, 2 } do task.spawn(function() task.sleep(s) log[#log + 1] = s end) end
  task.sleep(4)
  t.eq(log, { 1, 2, 3 })
end)

t.test("a failed task: join gives nil and the error object", function()
  local child = task.spawn(function() error "boom" end)
  local err = t.fails("script", child:join())
  t.eq(err.message, "boom")
  t.ok(err.where:find "test_task.lua:%d+$", err.where)
  t.eq(child:status(), "failed")
  t.eq(select(2, child:join()), err)

  local object = require("moongate.error").new { code = "http", message = "no", status = 500 }
  err = t.fails("http", task.spawn(function() error(object) end):join())
  t.ok(rawequal(err, object))
  t.ok(err.where:find "test_task.lua")

  err = t.fails("script", task.spawn(function() error { 1 } end):join())
  t.eq(err.value, { 1 })
  t.fails("script", task.spawn(function() error() end):join())
  local unprintable = setmetatable({}, { __tostring = function() error "x" end })
  t.fails("script", task.spawn(function() error(unprintable) end):join())
  t.eq(t.fails(task.spawn(function() error("a: b", 0) end):join()).message, "a: b")
end)

t.test("an error after a wait, and one in a deep call", function()
  t.eq(t.fails(task.spawn(function() task.sleep(1) error "late" end):join()).message, "late")
  local function deep(n) if n == 0 then task.sleep(1) error "deep" end deep(n - 1) return 1 end
  t.eq(t.fails(task.spawn(deep, 100):join()).message, "deep")
  local function endless() return endless() + 1 end
  t.ok(t.fails(task.spawn(endless):join()).message:find "stack overflow")
end)

t.test("pcall around a wait", function()
  local ok, err = pcall(function() task.sleep(1) error("x", 0) end)
  t.eq({ ok, err }, { false, "x" })
end)

t.test("a failed child that nobody joined fails its parent", function()
  local parent = task.spawn(function()
    task.spawn(function() error "orphan" end)
    task.sleep(1)
    return "fine"
  end)
  t.eq(t.fails("script", parent:join()).message, "orphan")
  -- joined, before or after it failed: handled
  parent = task.spawn(function()
    local a = task.spawn(function() error "a" end)
    local b = task.spawn(function() error "b" end)
    task.sleep(1)
    a:join()
    b:join()
    return "fine"
  end)
  t.eq(parent:join(), "fine")
  -- one of two
  parent = task.spawn(function()
    local a = task.spawn(function() error "a" end)
    task.spawn(function() error "b" end)
    task.sleep(1)
    a:join()
  end)
  t.eq(t.fails(parent:join()).message, "b")
  -- many
  parent = task.spawn(function()
    for _ = 1, 1000 do
      local c = task.spawn(function() error "c" end)
      task.yield()
      c:join()
    end
    return "fine"
  end)
  t.eq(parent:join(), "fine")
end)

t.test("the end of a parent cancels what its children do", function()
  local log = {}
  local grandchild
  local child
  local parent = task.spawn(function()
    child = task.spawn(function()
      local _ <close> = closer(log, "child")
      grandchild = task.spawn(function()
        local _ <close> = closer(log, "grandchild")
        task.sleep(100)
        log[#log + 1] = "never"
      end)
      task.sleep(100)
      log[#log + 1] = "never"
    end)
    task.sleep(1)
    return "done"
  end)
  local start = time.monotonic()
  t.eq(parent:join(), "done")
  t.ok(time.monotonic() - start < 2)
  t.eq(log, { "child", "grandchild" }) -- join waited for both
  t.eq(child:status(), "cancelled")
  t.eq(grandchild:status(), "cancelled")
end)

t.test("a failing parent cancels its children too", function()
  local log = {}
  local parent = task.spawn(function()
    task.spawn(function()
      local _ <close> = closer(log, "child")
      task.sleep(100)
    end)
    task.yield()
    error "parent"
  end)
  t.eq(t.fails(parent:join()).message, "parent")
  t.eq(log, { "child" })
end)

t.test("cancel: a ready task never runs", function()
  local ran
  local child = task.spawn(function() ran = true end)
  child:cancel()
  child:cancel()
  t.fails("cancelled", child:join())
  t.eq(child:status(), "cancelled")
  t.eq(ran, nil)
  child:cancel()
end)

t.test("cancel: a parked task is closed, and no pcall keeps it", function()
  local log = {}
  local child = task.spawn(function()
    local _ <close> = closer(log, "outer")
    pcall(function()
      local _ <close> = closer(log, "inner")
      task.sleep(100)
      log[#log + 1] = "never"
    end)
    log[#log + 1] = "never"
  end)
  task.yield()
  t.eq(child:status(), "waiting")
  child:cancel()
  t.fails("cancelled", child:join())
  t.eq(log, { "inner", "outer" })
end)

t.test("cancel: a task that was woken in the same turn", function()
  local log = {}
  local sem = task.semaphore(1)
  sem:acquire()
  local child = task.spawn(function() sem:acquire() log[1] = "never" end)
  task.yield()
  sem:release() -- hands the permit over
  child:cancel()
  t.fails("cancelled", child:join())
  t.eq(log, {})
  t.ok(sem:acquire(0)) -- the permit came back
end)

t.test("cancel: itself, an ended one, its parent", function()
  t.raises(function() task.current():cancel() end, "can't cancel itself")
  local child = task.spawn(function() return 1 end)
  t.eq(child:join(), 1)
  child:cancel()
  t.eq(child:status(), "done")
  local reached
  local parent
  parent = task.spawn(function()
    task.spawn(function()
      parent:cancel()
      task.sleep(10)
      reached = true
    end)
    task.sleep(100)
  end)
  t.fails("cancelled", parent:join())
  t.eq(reached, nil)
end)

t.test("cancel: while it joins, and while it ends", function()
  local child = task.spawn(function() task.sleep(5) return "slow" end)
  local joiner = task.spawn(function() return child:join() end)
  task.yield()
  joiner:cancel()
  t.fails("cancelled", joiner:join())
  t.eq(child:join(), "slow")
end)

t.test("closing a cancelled task can't wait; an error there is no failure of others", function()
  local message
  local child = task.spawn(function()
    local _ <close> = setmetatable({}, { __close = function() message = select(2, pcall(task.sleep, 1)) end })
    task.sleep(100)
  end)
  task.yield()
  child:cancel()
  t.fails("cancelled", child:join())
  t.ok(message:find "can't wait here", message)
end)

t.test("a task spawned while another is closed is cancelled", function()
  local ran
  local child = task.spawn(function()
    local _ <close> = setmetatable({}, { __close = function() task.spawn(function() ran = true end) end })
    task.sleep(100)
  end)
  task.yield()
  child:cancel()
  t.fails("cancelled", child:join())
  t.eq(ran, nil)
end)

t.test("waiting in a __close that runs in the normal way", function()
  local log = {}
  do
    local _ <close> = setmetatable({}, { __close = function() task.sleep(1) log[1] = "closed" end })
  end
  t.eq(log, { "closed" })
end)

t.test("join with a time limit", function()
  local child = task.spawn(function() task.sleep(10) return "late" end)
  t.fails("timeout", child:join(1))
  t.eq(child:join(100), "late")
  t.raises(function() task.current():join() end, "can't join itself")
end)

t.test("several join one task", function()
  local child = task.spawn(function() task.sleep(1) return 5 end)
  local sum = 0
  local list = {}
  for i = 1, 10 do list[i] = function() local v = child:join() sum = sum + v end end
  t.ok(task.all(list))
  t.eq(sum, 50)
end)

t.test("timeout", function()
  t.eq({ task.timeout(1, function(a, b) task.sleep(0.5) return a, b end, 1, 2) }, { 1, 2 })
  local log = {}
  local err = t.fails("timeout", task.timeout(1, function()
    local _ <close> = closer(log, "closed")
    task.sleep(100)
  end))
  t.ok(err.message:find "1 s", err.message)
  t.eq(log, { "closed" })
  t.eq(t.fails("script", task.timeout(1, function() error "x" end)).message, "x")
  t.eq(task.timeout(5, function() return task.timeout(1, function() task.sleep(2) end) end), nil)
end)

t.test("a task that times out and is cancelled at the same time", function()
  local outer = task.spawn(function() task.timeout(1, function() task.sleep(100) end) end)
  task.sleep(1)
  outer:cancel()
  t.fails("cancelled", outer:join())
end)

t.test("all", function()
  t.eq(task.all {}, {})
  local given = task.spawn(function() return "given" end)
  given:join()
  t.eq(task.all {
    function() task.sleep(2) return 1 end,
    given,
    function() return 3 end,
    task.spawn(function() task.sleep(1) return 4 end),
  }, { 1, "given", 3, 4 })
  local log = {}
  local start = time.monotonic()
  local err = t.fails("script", task.all {
    function() local _ <close> = closer(log, "a") task.sleep(100) end,
    function() task.sleep(1) error "second" end,
    function() task.sleep(100) log[#log + 1] = "never" end,
  })
  t.eq(err.message, "second")
  t.eq(log, { "a" })
  t.ok(time.monotonic() - start < 2)
  t.raises(function() task.all { 1 } end, "item 1: a function or a task expected")
  t.raises(function() task.all(1) end, "table expected")
end)

t.test("all: nil and an error object is a failure; a given task runs on", function()
  local failure = require("moongate.error").new { code = "http", message = "no" }
  local given = task.spawn(function() task.sleep(10) return "mine" end)
  local err = t.fails("http", task.all { given, function() return nil, failure end })
  t.ok(rawequal(err, failure))
  t.eq(given:join(), "mine")
  t.eq(task.all { function() return nil, "just a string" end }, {})
end)

t.test("map keeps order and limit", function()
  local running, most = 0, 0
  local list = {}
  for i = 1, 50 do list[i] = i end
  local squares = task.map(list, 7, function(v, i)
    t.eq(v, i)
    running = running + 1
    most = math.max(most, running)
    task.sleep((51 - v) / 10)
    running = running - 1
    return v * v
  end)
  t.eq(most, 7)
  for i = 1, 50 do t.eq(squares[i], i * i) end
  local started = 0
  t.fails("script", task.map(list, 2, function(v)
    started = started + 1
    if v == 3 then error "three" end
    task.sleep(1)
  end))
  t.ok(started <= 4, started)
  t.raises(function() task.map(list, 0, print) end, "at least 1")
  t.raises(function() task.map(list, 1) end, "function expected")
end)

t.test("map cancelled from outside leaves nothing", function()
  local outer = task.spawn(function() task.map({ 1, 2, 3, 4 }, 2, function() task.sleep(100) end) end)
  task.sleep(1)
  t.eq(host.stats().tasks >= 4, true)
  outer:cancel()
  t.fails("cancelled", outer:join())
end)

t.test("semaphore: first come, first served", function()
  local sem, log = task.semaphore(2), {}
  local list = {}
  for i = 1, 6 do
    list[i] = function()
      t.ok(sem:acquire())
      log[#log + 1] = i
      task.sleep(1)
      sem:release()
    end
  end
  local start = time.monotonic()
  t.ok(task.all(list))
  t.eq(log, { 1, 2, 3, 4, 5, 6 })
  t.ok(math.abs(time.monotonic() - start - 3) < 0.1)
  t.raises(function() sem:release() end, "more often")
end)

t.test("semaphore: a waiter leaves on timeout and on cancel", function()
  local sem = task.semaphore(1)
  t.ok(sem:acquire())
  local c = task.spawn(function() sem:acquire() error "never" end)
  local second = task.spawn(function() t.ok(sem:acquire()) return "got it" end)
  task.yield()
  t.fails("timeout", sem:acquire(1))
  t.fails("timeout", sem:acquire(0))
  c:cancel()
  task.yield()
  sem:release()
  t.eq(second:join(), "got it")
  sem:release()
  t.ok(sem:acquire(0))
end)

t.test("semaphore:with gives the permit back, whatever happens", function()
  local sem = task.semaphore(1)
  t.eq({ sem:with(function(a, b) return b, a end, 1, 2) }, { 2, 1 })
  t.raises(function() sem:with(error, "x") end, "x")
  local holder = task.spawn(function() sem:with(task.sleep, 100) end)
  local waiter = task.spawn(function() return sem:with(function() task.sleep(1) return "after" end) end)
  task.yield()
  holder:cancel()
  t.eq(waiter:join(), "after")
  t.ok(sem:acquire(0))
end)

t.test("current", function()
  local seen
  local child = task.spawn(function() seen = task.current() task.sleep(1) return task.current() == seen end)
  t.eq(child:join(), true)
  t.eq(seen, child)
  t.ok(tostring(child):find "^task .*%(done%)$")
end)

t.test("a script's own coroutine may wait, and yield, in any order and depth", function()
  local pages = coroutine.wrap(function(first)
    for i = first, 3 do
      task.sleep(0.001)
      local got = coroutine.yield(i, assert(fs.stat ".").type)
      assert(got == i * 10)
    end
    task.yield()
    return "end"
  end)
  t.eq({ pages(1) }, { 1, "directory" })
  t.eq({ pages(10) }, { 2, "directory" })
  t.eq({ pages(20) }, { 3, "directory" })
  t.eq({ pages(30) }, { "end" })
  t.raises(pages, "dead coroutine")

  local function numbers(depth, n)
    return coroutine.wrap(function()
      if depth == 0 then
        for k = 1, n do
          task.yield()
          coroutine.yield(k)
        end
        return
      end
      for k in numbers(depth - 1, n) do
        pcall(task.sleep, 0)
        coroutine.yield(k)
      end
    end)
  end
  local sum = 0
  for k in numbers(20, 50) do sum = sum + k end
  t.eq(sum, 1275)

  local others = 0
  local child = task.spawn(function() for _ = 1, 3 do others = others + 1 task.yield() end end)
  coroutine.wrap(function() child:join() end)()
  t.eq(others, 3, "the others run meanwhile")

  local gen = coroutine.wrap(function() for k = 1, 3 do coroutine.yield(k) end end)
  t.eq({ gen(), gen(), gen() }, { 1, 2, 3 })
  t.raises(function() coroutine.yield() end, "outside a coroutine")
end)

t.test("errors and results after a wait come out of a coroutine as they do without one", function()
  local co = coroutine.create(function(...) task.yield() return ... end)
  t.eq({ coroutine.resume(co, 1, nil, 3) }, { true, 1, nil, 3 })
  t.eq({ coroutine.status(co), coroutine.resume(co) }, { "dead", false, "cannot resume dead coroutine" })
  co = coroutine.create(function() task.yield() error({ code = "mine" }) end)
  local ok, err = coroutine.resume(co)
  t.eq({ ok, err.code, coroutine.status(co) }, { false, "mine", "dead" })
  local closed = {}
  t.raises(coroutine.wrap(function()
    local _ <close> = setmetatable({}, { __close = function(_, e) closed[1] = tostring(e) end })
    task.yield()
    error "after the wait"
  end), "test_task.lua:%d+: .*after the wait")
  t.ok(closed[1]:find "after the wait")
  for _ = 1, 300 do -- each has waited, and is let go of half-way
    local half = coroutine.wrap(function() task.yield() coroutine.yield(1) task.sleep(60) end)
    t.eq(half(), 1)
  end
  collectgarbage()
end)

t.test("where a coroutine's caller can't wait, it can't either", function()
  local function waits() coroutine.wrap(function() task.yield() end)() end
  t.raises(function() table.sort({ 2, 1 }, waits) end, "can't wait here")
  local shown = setmetatable({}, { __tostring = function() waits() return "" end })
  t.raises(function() tostring(shown) end, "can't wait here")
  local co = coroutine.wrap(function() table.sort({ 2, 1 }, function() task.yield() end) end)
  t.raises(co, "can't wait here")
  task.yield()
end)

t.test("a task that is cancelled in a coroutine closes what it is in, the innermost first", function()
  local order, free = {}, task.semaphore(1)
  local function closing(name)
    return setmetatable({}, { __close = function() order[#order + 1] = name end })
  end
  free:acquire()
  local child = task.spawn(function()
    local _ <close> = closing "task"
    coroutine.wrap(function()
      local _ <close> = closing "outer"
      coroutine.resume(coroutine.create(function()
        local _ <close> = closing "inner"
        free:acquire()
      end))
    end)()
  end)
  task.yield()
  child:cancel()
  child:join()
  t.eq({ child:status(), order }, { "cancelled", { "inner", "outer", "task" } })
  free:release()
  t.ok(free:acquire(0), "it does not wait any more")
  local ok, err = task.timeout(0.01, function() coroutine.wrap(function() task.sleep(60) end)() end)
  t.eq({ ok, err.code }, { nil, "timeout" })
end)

t.test("a coroutine that its task waits in is nobody else's to resume or close", function()
  local co = coroutine.create(function() task.sleep(0.02) return "slept" end)
  local child = task.spawn(function() return coroutine.resume(co) end)
  task.yield()
  t.eq(coroutine.status(co), "normal")
  local ok, err = coroutine.resume(co)
  t.ok(not ok and err:find "another task waits", err)
  t.raises(function() coroutine.close(co) end, "another task waits")
  t.eq({ child:join() }, { true, "slept" })
  t.eq(coroutine.status(co), "dead")
  local passed = coroutine.wrap(function() coroutine.yield(1) task.yield() coroutine.yield(2) end)
  t.eq(passed(), 1)
  t.eq(task.spawn(passed):join(), 2, "made in one task, it may wait in another")
end)

t.test("nobody else resumes or closes a task", function()
  local thread
  local child = task.spawn(function() thread = coroutine.running() task.sleep(1) return "ok" end)
  task.yield()
  t.raises(function() coroutine.resume(thread) end, "only the scheduler")
  t.raises(function() coroutine.close(thread) end, "only the scheduler")
  t.eq(child:join(), "ok")
  t.raises(function() coroutine.resume(thread) end, "only the scheduler")
end)

t.test("a coroutine may spawn", function()
  local child
  coroutine.wrap(function() child = task.spawn(function() return 3 end) end)()
  t.eq(child:join(), 3)
end)

t.test("a dropped handle does not end its task", function()
  local done = 0
  for _ = 1, 10 do task.spawn(function() task.sleep(1) done = done + 1 end) end
  collectgarbage()
  task.sleep(2)
  t.eq(done, 10)
end)

t.test("100,000 tasks", function()
  local n, gate = 0, task.semaphore(1)
  gate:acquire()
  local parent = task.spawn(function()
    for _ = 1, 100000 do task.spawn(function() task.sleep(1) n = n + 1 end) end
    task.sleep(2)
  end)
  parent:join()
  t.eq(n, 100000)
end)

t.test("100,000 tasks cancelled at once", function()
  local closed = 0
  local mt = { __close = function() closed = closed + 1 end }
  local parent = task.spawn(function()
    for _ = 1, 100000 do
      task.spawn(function() local _ <close> = setmetatable({}, mt) task.sleep(100) end)
    end
    task.sleep(1)
  end)
  parent:join()
  t.eq(closed, 100000)
end)

t.test("a long chain of parents", function()
  local depth = 0
  local function nest(n)
    depth = n
    if n < 20000 then task.spawn(nest, n + 1) end
    task.sleep(1000)
  end
  local top = task.spawn(nest, 1)
  task.sleep(1)
  t.eq(depth, 20000)
  top:cancel()
  t.fails("cancelled", top:join())
end)
