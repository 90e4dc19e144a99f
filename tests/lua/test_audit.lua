-- test_audit.lua - the audit log as scripts see it: intents before outcomes, one sync for many, damage told.
local t = require "moongate.test"
local audit = require "moongate.audit"
local fs = require "moongate.fs"
local hash = require "moongate.hash"
local json = require "moongate.json"
local task = require "moongate.task"

local function lines()
  local out = {}
  for line in assert(fs.read(audit.path())):gmatch "[^\n]+" do out[#out + 1] = line end
  return out
end

t.test("an intent, its outcome, and a chain that anyone can check", function()
  local entry = assert(audit.intent { action = "index_update", indexId = "products", tags = json.array {} })
  t.eq(entry.seq, #lines())
  t.eq(assert(audit.verify()).open_intents, { entry.seq })
  t.eq(entry:outcome { status = "ok", latency_ms = 12 }, true)
  t.raises(entry.outcome, "has its outcome already", entry, {})
  local report = assert(audit.verify())
  t.eq(report.open_intents, {})
  t.eq(report.first_bad, nil)
  t.eq(report.torn, false)
  local prev = ("0"):rep(64)
  for i, line in ipairs(lines()) do
    local e = assert(json.decode(line))
    local bare, n = line:gsub('"hash":"%x+",', "", 1)
    t.eq(n, 1)
    t.eq(hash.sha256(bare), e.hash)
    t.eq(e.prev, prev)
    t.eq(e.seq, i)
    prev = e.hash
  end
  t.eq(report.last_hash, prev)
  local last = json.decode(lines()[report.lines])
  t.eq({ last.phase, last.intent, last.action, last.status }, { "outcome", entry.seq, "index_update", "ok" })
  assert(assert(audit.intent { action = "a" }):outcome { action = "b" })
  t.eq(json.decode(lines()[report.lines + 2]).action, "b")
  assert(assert(audit.intent { action = 'quo"te' }):outcome {})
  t.eq(json.decode(lines()[report.lines + 4]).action, 'quo"te')
end)

t.test("a thousand tasks", function()
  local before = assert(audit.verify()).lines
  local list = {}
  for i = 1, 1000 do list[i] = i end
  local entries = assert(task.map(list, 1000, function(i)
    local e = assert(audit.intent { action = "many", n = i })
    assert(e:outcome { n = i })
    return e.seq
  end))
  local seen = {}
  for _, seq in ipairs(entries) do
    t.ok(seq > before and not seen[seq])
    seen[seq] = true
  end
  local report = assert(audit.verify())
  t.eq(report.lines, before + 2000)
  t.eq(report.open_intents, {})
end)

t.test("what is no event", function()
  local before = assert(audit.verify()).lines
  t.fails("invalid", audit.event {})
  t.fails("invalid", audit.event { action = 1 })
  t.fails("invalid", audit.event { action = "x", seq = 1 })
  t.fails("invalid", audit.event { "x" })
  t.raises(audit.event, "table expected", "x")
  local entry = assert(audit.intent { action = "x" })
  t.fails("invalid", entry:outcome { hash = "mine" })
  t.raises(entry.outcome, "table expected", entry)
  t.eq(entry:outcome {}, true) -- a refused one may be tried again
  t.eq(assert(audit.verify()).lines, before + 2)
end)

t.test("what a peer said is written, however odd it is", function()
  local list = {}
  for i = 1, 300000 do list[i] = "item " .. i end
  local entry = assert(audit.intent { action = "odd_write", f = print })
  t.eq(entry:outcome {
    snowflake = 1796068869340511487, latin = "caf\233", inf = 1 / 0, gap = { 1, [3] = 2 },
    text = ("\195\164"):rep(900000), list = list, status = "created",
  }, true)
  local all = assert(audit.read(nil, { action = "odd_write" }))
  local line = all[#all]
  t.eq({ all[#all - 1].f, line.snowflake, line.latin, line.inf, line.status },
    { "(function)", "1796068869340511487", "caf\239\191\189", "Infinity", "created" })
  t.eq(line.gap, { ["1"] = 1, ["3"] = 2 })
  t.ok(line.text:find "%.%.%. %(1800000 bytes%)$" and #line.text < 20000)
  t.ok(#line.list <= 1000)
  t.eq(assert(audit.verify()).first_bad, nil)
end)

t.test("reading with filters", function()
  local first = assert(audit.event { action = "read_test", run = "r1", correlation_id = "c-1", status = "ok" })
  assert(audit.event { action = "read_test", run = "r2", correlationId = "c-1", outcome = "failed" })
  local function count(filter)
    local list, skipped = audit.read(nil, filter)
    t.eq(skipped, 0)
    return #list
  end
  t.eq(count { action = "read_test" }, 2)
  t.eq(count { action = "read_test", run = "r1" }, 1)
  t.eq(count { correlation_id = "c-1" }, 2)
  t.eq(count { run = "r2", outcome = "failed" }, 1)
  t.eq(count { run = "r1", outcome = "failed" }, 0)
  t.eq(count { action = "read_test", last = 1 }, 1)
  t.eq(count { action = "read_test", since = 0 }, 2)
  t.eq(count { action = "read_test", ["until"] = 1 }, 0)
  t.eq(count { action = "read_test", ["until"] = "2001" }, 0)
  t.eq(count { action = "nothing such" }, 0)
  t.eq(audit.read(nil, { action = "read_test" })[1].seq, first)
  t.eq(json.encode((audit.read(nil, { action = "nothing such" }))), "[]")
  t.raises(audit.read, "unknown option 'actoin'", nil, { actoin = "x" })
  t.raises(audit.read, "run: string expected", nil, { run = 1 })
  t.raises(audit.read, "last: a count", nil, { last = -1 })
  t.fails("not_found", audit.read "build/no-such-log")
  t.fails("not_found", audit.verify "build/no-such-log")
  t.fails("invalid", audit.verify "src")
end)

t.test("secrets do not reach the log", function()
  local canary = "canary-" .. require("moongate.uuid").v4()
  local header, note = "Authorization: Bearer " .. canary, "client_secret=" .. canary
  assert(audit.event { action = "x", password = canary, header = header, note = note })
  t.ok(not assert(fs.read(audit.path())):find(canary, 1, true))
end)

t.test("a cancelled task's event is written all the same", function()
  local before = assert(audit.verify()).lines
  local child = task.spawn(function() audit.event { action = "left behind" } end)
  task.yield()
  child:cancel()
  child:join()
  while assert(audit.verify()).lines == before do task.sleep(0.01) end
  t.eq(#audit.read(nil, { action = "left behind" }), 1)
end)

t.test("a torn line is set aside, damage stops all", function()
  local path = audit.path()
  local good = assert(fs.read(path))
  local copy = path .. ".copy"
  assert(fs.write(copy, good .. '{"action":"to'))
  local report = assert(audit.verify(copy))
  t.eq({ report.torn, report.torn_bytes, report.first_bad }, { true, 13, report.lines + 1 })
  assert(fs.write(copy, (good:gsub('"products"', '"Products"', 1))))
  report = assert(audit.verify(copy))
  t.eq(report.first_bad, 1)
  t.ok(report.reason:find "hash")
  t.eq(report.torn, false)
  assert(fs.remove(copy))
end)
