-- virtual clock. A task's place in a run, and what it finishes before it is cancelled.
local http = require "moongate.http"
local scope = require "moongate.scope"
local t = require "moongate.test"
local task = require "moongate.task"

local function within(context, shielded, guarded, fn)
  local before, state = scope.enter(context, shielded, guarded)
  local ok, result = pcall(fn)
  scope.leave(before, state)
  if not ok then error(result, 0) end
  return result
end

local function child(fn) return assert(task.all { fn })[1] end

t.test("a context is handed down, and left as it was entered", function()
  t.eq(scope.get(), nil)
  within("run", false, nil, function()
    t.eq(scope.get(), "run")
    t.eq(child(scope.get), "run")
    within("step", false, nil, function()
      t.eq(scope.get(), "step")
      t.eq(child(scope.get), "step")
    end)
    t.eq(scope.get(), "run")
  end)
  t.eq(scope.get(), nil)
  t.eq(child(scope.get) or "none", "none")
end)

t.test("tasks are numbered in the order in which they are spawned, whatever ends first", function()
  within({}, false, nil, function()
    t.eq(scope.numbers(), "")
    local seen = assert(task.map({ 0.3, 0.1, 0.2 }, 2, function(wait)
      task.sleep(wait)
      return scope.numbers() .. " " .. child(function() return child(scope.numbers) end)
    end))
    t.eq(seen, { "1 1.1.1", "2 2.1.1", "3 3.1.1" })
  end)
end)

t.test("what is spawned in an inner context does not count outside of it", function()
  within({}, false, nil, function()
    t.eq(child(scope.numbers), "1")
    within({}, false, nil, function()
      t.eq(child(scope.numbers), "1")
      t.eq(child(scope.numbers), "2")
    end)
    t.eq(child(scope.numbers), "2")
  end)
end)

t.test("a shielded task is cancelled when it leaves the shield, an open one at once", function()
  local log = {}
  local function job(name, shielded)
    return task.spawn(function()
      local before, state = scope.enter({}, shielded)
      task.sleep(1)
      log[#log + 1] = name .. " slept"
      scope.leave(before, state)
      log[#log + 1] = name .. " left"
    end)
  end
  local shielded, open = job("shielded", true), job("open", false)
  task.sleep(0.1)
  shielded:cancel()
  open:cancel()
  task.sleep(0.1)
  t.eq(open:status(), "cancelled")
  t.eq(shielded:status(), "waiting")
  shielded:join()
  t.eq(shielded:status(), "cancelled")
  t.eq(log, { "shielded slept" })
end)

t.test("a shield can be opened for a while", function()
  local log = {}
  local job = task.spawn(function()
    local before, state = scope.enter({}, true)
    task.sleep(1)
    log[#log + 1] = "before"
    local n = scope.shield(0)
    log[#log + 1] = "open"
    scope.shield(n)
    scope.leave(before, state)
  end)
  task.sleep(0.1)
  job:cancel()
  job:join()
  t.eq(job:status(), "cancelled")
  t.eq(log, { "before" })
end)

t.test("children of a shielded task go on with it", function()
  local log = {}
  local job = task.spawn(function()
    local before, state = scope.enter({}, true)
    local ok = task.map({ 1, 2 }, 2, function(i)
      task.sleep(i)
      log[#log + 1] = i
      return true
    end)
    log[#log + 1] = ok ~= nil
    scope.leave(before, state)
  end)
  task.sleep(0.1)
  job:cancel()
  job:join()
  t.eq(job:status(), "cancelled")
  t.eq(log, { 1, 2, true })
end)

t.test("a guarded task sends nothing that must not be sent twice", function()
  local function send(method, opts)
    local request = { method = method, url = "http://127.0.0.1:1/", deadline = 0.1 }
    for k, v in pairs(opts or {}) do request[k] = v end
    local ok, err, more = pcall(http.request, request)
    if not ok then
      t.eq({ err.method, err.path, err.guarded, err.outcome }, { method, "http://127.0.0.1:1/", true, "not_sent" })
      return err.code
    end
    return more.code
  end
  within({}, false, true, function()
    t.eq(send "POST", "unknown_outcome")
    t.eq(send "PATCH", "unknown_outcome")
    t.eq(child(function() return send "POST" end), "unknown_outcome")
    t.ok(send "GET" ~= "unknown_outcome")
    t.ok(send("POST", { idempotency_key = "k" }) ~= "unknown_outcome")
    t.ok(send("POST", { idempotent = true }) ~= "unknown_outcome")
    within({}, false, false, function() t.ok(send "POST" ~= "unknown_outcome") end)
  end)
  t.ok(send "POST" ~= "unknown_outcome")
end)

t.test("the line of a script that is told is its own", function()
  t.ok(scope.where():find "tests/lua/test_scope.lua:%d+$", tostring(scope.where()))
end)
