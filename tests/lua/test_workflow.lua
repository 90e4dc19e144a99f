-- What a workflow declares, what its run gives it, and what becomes of what it returns.
local errors = require "moongate.error"
local fake = require "fake_gateway"
local json = require "moongate.json"
local t = require "moongate.test"
local workflow = require "moongate.workflow"

local function define(changes)
  local spec = { name = "a-job", summary = "does it", run = function() end }
  for k, v in pairs(changes or {}) do spec[k] = v end
  return workflow.define(spec)
end

local function execute(run, values, session, changes)
  local spec = { run = run }
  for k, v in pairs(changes or {}) do spec[k] = v end
  return workflow.execute(define(spec), values, session)
end

t.test("a definition's mistakes are told with its file and line", function()
  local function mistake(changes, pattern)
    local err = t.raises(function() define(changes) end, pattern)
    t.ok(tostring(err):find("test_workflow.lua:%d+: workflow.define: "), tostring(err))
  end
  mistake({ nme = "x" }, "unknown field 'nme'")
  mistake({ run = "x" }, "run must be a function")
  mistake({ name = "A Job" }, "lower%-case")
  mistake({ flags = { { "rate", "x", tipe = "number" } } }, "tipe")
  mistake({ args = { { "a", "x", repeated = true }, { "b", "y" } } }, "repeated")
  t.raises(function() workflow.define { name = "x" } end, "summary is missing")
  t.raises(function() workflow.define "x" end, "expected a table")
end)

t.test("an exit status that no process can end with is told", function()
  for shown, status in pairs { ["-5"] = -5, ["300"] = 300, ['"x"'] = "x", ["1.5"] = 1.5, ["a boolean"] = true } do
    local err = t.raises(function() execute(function() return { exit_status = status } end) end)
    t.eq(tostring(err), "workflow a-job: the result's exit_status must be a whole number from 0 to 255, not " .. shown)
    t.eq(workflow.exit_status(err), 1)
  end
  for _, status in ipairs { 0, 1, 255 } do
    t.eq(execute(function() return { exit_status = status } end).exit_status, status)
  end
end)

t.test("what is no definition is not executed", function()
  t.raises(function() workflow.execute({ run = function() end }, {}) end, "not a workflow")
  t.ok(workflow.is(define()))
  t.ok(not workflow.is {} and not workflow.is(nil) and not workflow.is "x")
  t.raises(function() workflow.execute(define(), {}, { dry = true }) end, "unknown session field 'dry'")
end)

t.test("arguments and flags reach the run, apart and together", function()
  local seen
  execute(function(run, given) seen = { run.args, run.flags, given, run.dry_run, run.json, run.simulated } end,
    { config = { "a" }, vector_store = "vs" }, { dry_run = true },
    { args = { { "config", "x", repeated = true } }, flags = { { "vector-store", "y" } } })
  t.eq(seen, { { config = { "a" } }, { vector_store = "vs" }, { config = { "a" }, vector_store = "vs" }, true, false,
    false })
end)

t.test("the result: data, lines and exit status", function()
  local out = execute(function() return { a = 1, text = { "one", "two" }, exit_status = 8 } end)
  t.eq(out, { data = { a = 1 }, lines = { "one", "two" }, exit_status = 8 })
  out = execute(function() return { b = "x", a = 1 } end)
  t.eq(out, { data = { a = 1, b = "x" }, lines = { "a: 1", "b: x" }, exit_status = 0 })
  t.eq(execute(function() end), { lines = {}, exit_status = 0 })
  t.eq(execute(function() return "done" end), { data = "done", lines = { "done" }, exit_status = 0 })
  t.ok(json.is_array(execute(function() return json.array {} end).data))
end)

t.test("what the run says comes before the text; a diff is said and is in the data", function()
  local out = execute(function(run)
    run:say("for %s", "you")
    run:say("100 % plain")
    run:diff({ a = 1 }, { a = 2 }, "orders")
    run:diff({ a = 1 }, { a = 1 })
    return { ok = true, text = "end" }
  end)
  t.eq(table.concat(out.lines, "\n"), "for you\n100 % plain\norders\n  ~ a: 1 -> 2\nno changes\nend")
  t.eq(out.data, { ok = true, changes = json.array { { op = "change", pointer = "/a", from = 1, to = 2 } } })
end)

t.test("a step has its name's number, taken when it is called", function()
  local calls = {}
  execute(function(run)
    t.eq(run:step("put", function() return 1, nil, 3 end), 1)
    run:step("put", function() end)
    run:step("get", function() end)
  end, nil, { step = function(_, name, n, fn)
    calls[#calls + 1] = name .. n
    return fn()
  end })
  t.eq(table.concat(calls, " "), "put1 put2 get1")
end)

t.test("a mistake in what a run is asked is told at the script's place", function()
  execute(function(run)
    for want, fn in pairs {
      ["#1 to 'run:step' %(string expected, got table%)"] = function() run:step({}, print) end,
      ["#2 to 'run:step' %(function expected, got nil%)"] = function() run:step "put" end,
      ["#2 to 'run:read' %(function expected, got string%)"] = function() run:read("look", "x") end,
      ["#1 to 'run:sleep' %(seconds expected, got string%)"] = function() run:sleep "1" end,
      ["#1 to 'run:timeout' %(seconds expected, got 1e%+300%)"] = function() run:timeout(1e300, print) end,
      ["#2 to 'run:timeout' %(function expected, got nil%)"] = function() run:timeout(1) end,
    } do
      t.raises(fn, "test_workflow.lua:%d+: bad argument " .. want)
    end
    local ok, err = pcall(run.sleep, run, 0 / 0)
    t.ok(not ok and tostring(err):find("seconds expected", 1, true), err)
  end)
end)

t.test("a step hands on all results, and what is raised", function()
  execute(function(run)
    t.eq(table.pack(run:step("x", function() return 1, nil, 3 end)), { 1, nil, 3, n = 3 })
    local err = t.raises(function()
      run:step("x", function() errors.raise { code = "conflict", message = "c" } end)
    end)
    t.eq(err.code, "conflict")
  end)
end)

t.test("the gateway is opened at first use, with the client's options", function()
  local opened = {}
  local session = { gateway = function(options)
    opened[#opened + 1] = options
    return "gw"
  end }
  execute(function() end, nil, session)
  t.eq(#opened, 0)
  execute(function(run)
    run:client { rate = { per_second = 2 } }
    t.eq(run.gateway, "gw")
    t.eq(run.gateway, "gw")
    t.raises(function() run:client {} end, "open already")
  end, nil, session)
  t.eq(opened, { { rate = { per_second = 2 } } })
end)

t.test("progress goes to the session's bar, or nowhere", function()
  local told = {}
  local bar = {
    advance = function(_, n, what) told[#told + 1] = { n or 1, what } end,
    done = function() told[#told + 1] = "done" end,
  }
  local function work(run)
    local p = run:progress(2, "files")
    p.advance(1, "a")
    p.advance()
    p.done()
  end
  execute(work)
  execute(work, nil, { progress = function(...)
    told[1] = { ... }
    return bar
  end })
  t.eq(told, { { 2, "files" }, { 1, "a" }, { 1 }, "done" })
end)

t.test("an error as data keeps what a reader needs and no more", function()
  local err = errors.new { code = "http", message = "m", status = 422, details = { { field = "a" } }, hint = "h" }
  err.extra = print
  local data = workflow.error_data(err)
  t.eq(data, { code = "http", message = "m", status = 422, details = json.array { { field = "a" } }, hint = "h" })
  t.ok(json.encode(data))
end)

t.test("a run with a gateway of its own", function()
  local client = fake.client()
  client:hold("/things/1", { a = 1 })
  local out = execute(function(run)
    local thing = run.gateway:get_path "/things/1"
    thing.content.a = 2
    return { status = run.gateway:put_path("/things/1", thing.content, { base = thing }).status }
  end, nil, { gateway = function() return (fake.open(client)) end })
  t.eq(out.data, { status = "updated" })
end)
