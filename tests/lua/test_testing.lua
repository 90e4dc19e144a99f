-- What tests are made of: checks and what they say, blocks and hooks, simulated gateways, the virtual clock, snapshots.
local errors = require "moongate.error"
local fs = require "moongate.fs"
local json = require "moongate.json"
local show = require "moongate.test.show"
local task = require "moongate.task"
local test = require "moongate.test"
local time = require "moongate.time"
local workflow = require "moongate.workflow"

local describe, it, expect = test.describe, test.it, test.expect

-- What a check that must fail says: its message and, below it, what differs.
local function told(fn)
  local ok, err = pcall(fn)
  if ok then error("the check holds", 2) end
  if not errors.is(err) then error(err, 0) end
  return table.concat({ err.message, table.unpack(err.diff or {}) }, "\n"), err
end

describe("expect", function()
  it("compares by content", function()
    expect({ a = { 1, 2 }, b = json.null }):to_equal { a = { 1, 2 }, b = json.null }
    expect({ a = 1 }):not_to_equal { a = 2 }
    expect(0 / 0):to_equal(0 / 0)
    expect(told(function() expect({ a = { 1, 2, 4 }, c = 0 }):to_equal { a = { 1, 3 }, b = true, c = 0 } end)):to_be(
      "the values differ\n~ a[2]: 2, expected 3\n+ a[3]: 4 is not expected\n- b: true is missing")
    expect(told(function() expect(1):to_equal "1" end)):to_be 'got 1, expected "1"'
    expect(told(function() expect({ 1 }):not_to_equal { 1 } end)):to_be "both are { 1 }"
  end)

  it("tells long texts apart line by line", function()
    expect(told(function() expect("a\nb\nc"):to_equal "a\nx\nc" end)):to_be(
      "the values differ\n~ (- expected, + got)\n      a\n    - x\n    + b\n      c")
  end)

  it("knows the place of the check", function()
    local _, err = told(function() expect(1):to_be(2) end)
    expect(err.where):to_match "test_testing%.lua:%d+$"
    _, err = told(function() test.eq(1, 2) end)
    expect(err.where):to_match "test_testing%.lua:%d+$"
  end)

  it("compares tables that hold themselves", function()
    local a, b = {}, {}
    a.self, b.self = a, b
    expect(a):to_equal(b)
    b.n = 1
    expect(told(function() expect(a):to_equal(b) end)):to_match "%- n: 1 is missing"
    expect(show.value(a)):to_be "{ self = (itself) }"
  end)

  it("checks identity, truth and kinds", function()
    local t = {}
    expect(t):to_be(t)
    expect({}):not_to_be(t)
    expect(told(function() expect({}):to_be(t) end)):to_match "compares by content"
    expect(0):to_be_truthy()
    expect(nil):to_be_nil()
    expect(false):not_to_be_truthy()
    expect(1):to_be_a "integer"
    expect(1.5):to_be_a "number"
    expect(told(function() expect("x"):to_be_a "table" end)):to_be 'got "x", a string, expected a table'
  end)

  it("checks numbers", function()
    expect(2):to_be_above(1)
    expect(1):not_to_be_above(1)
    expect(1):to_be_below(1.5)
    expect(0.1 + 0.2):to_be_near(0.3)
    expect(10):to_be_near(12, 2)
    expect(told(function() expect(3):to_be_below(3) end)):to_be "got 3, expected less than 3"
    expect(told(function() expect("3"):to_be_above(3) end)):to_match "compares numbers"
  end)

  it("looks into texts and tables", function()
    expect("deploy-index"):to_contain "y-i"
    expect({ 1, { a = 2 } }):to_contain { a = 2 }
    expect({ "a" }):not_to_contain "b"
    expect("index 12"):to_match "^index %d+$"
    expect({ a = 1, b = { c = 2, d = 3 } }):to_match { b = { c = 2 } }
    expect(told(function() expect({ a = { 1, 2 }, b = 1 }):to_match { a = { 1 }, c = 3 } end)):to_be(
      "it does not match\n~ a: 2 items, expected 1\n- c: 3 is missing")
    expect({ 1, 2, 3 }):to_have_length(3)
    expect(told(function() expect("ab"):to_have_length(3) end)):to_match "has the length 2"
  end)

  it("checks failures of every form, and gives them back", function()
    local conflict = errors.new { code = "conflict", message = "somebody else wrote" }
    expect(expect(function() error(conflict) end):to_fail_with("conflict", "else wrote")):to_be(conflict)
    expect(function() return nil, conflict end):to_fail_with "conflict"
    expect(fs.read "/nonexistent"):to_fail_with "not_found"
    expect({ error = conflict }):to_fail_with "conflict"
    expect(function() error "plain" end):to_fail_with(nil, "plain")
    expect(function() end):not_to_fail_with()
    expect(told(function() expect(function() end):to_fail_with "conflict" end)):to_be(
      "nothing was raised, expected a failure with the code conflict")
    expect(told(function() expect(conflict):to_fail_with "denied" end)):to_match "^failed with conflict"
  end)

  it("names the nearest check when there is none", function()
    local ok, err = pcall(function() expect(1):to_eqaul(1) end)
    expect({ ok, tostring(err):match "did you mean '(.-)'" }):to_equal { false, "to_equal" }
  end)
end)

describe("values as text", function()
  it("are the same on every run", function()
    expect(show.value { b = 1, a = "x", [1] = true, ["two words"] = json.null }):to_be(
      '{ [1] = true, a = "x", b = 1, ["two words"] = json.null }')
    expect(show.value { json.array {}, {}, { "a", "b" } }):to_be '{ [], {}, { "a", "b" } }'
    expect(show.value "a\nb\0\255"):to_be '"a\\nb\\x00\\xff"'
    expect(show.value(print)):to_match "^[%w:]+$"
    expect(show.value { ("x"):rep(60), ("y"):rep(60) }):to_match '^{\n  "x+",\n  "y+"\n}$'
  end)
end)

describe("hooks", function()
  local log = {}
  test.before(function() log[#log + 1] = "before" end)
  test.before_each(function() log[#log + 1] = "each" end)
  test.after_each(function() log[#log + 1] = "after each" end)

  describe("of an inner block", function()
    test.before_each(function() log[#log + 1] = "inner" end)
    test.after_each(function() log[#log + 1] = "after inner" end)
    it("come after the outer ones, and the other way round at the end", function()
      expect(log):to_equal { "before", "each", "inner" }
    end)
  end)

  it("ran around the test before", function()
    expect(log):to_equal { "before", "each", "inner", "after inner", "after each", "each" }
  end)
end)

describe("the virtual clock", function()
  it("jumps to what is waited for", function()
    local began = time.monotonic()
    task.sleep(75 * 3600)
    expect(time.monotonic() - began):to_be_near(75 * 3600, 0.001)
  end)

  it("begins at the same moment in each run", function()
    expect(time.now()):to_be_above(time.parse "2026-01-01T00:00:00Z" - 1)
    expect(time.iso()):to_match "^2026%-01%-0"
  end)
end)

local INDEX = { indexId = "orders", dimensions = 768, similarityMetric = "cosine", embeddingFormat = "float32" }

describe("a simulated gateway", function()
  local gateway
  test.before_each(function() gateway = test.sim { seed = 3 } end)

  local function deploy(...)
    return gateway:run("deploy-index", test.file("index.json", INDEX), "--vector-store", "vs", ...)
  end

  it("runs a bundled workflow, and all that it did is at hand", function()
    local out = deploy()
    expect(out.error):to_be_nil()
    expect(out.exit_status):to_be(0)
    expect(out.data.results[1]):to_match { status = "created", confirmed = true }
    expect(out.text):to_contain "orders: created"
    expect(gateway:state().indexes.vs.orders.configuration):to_equal(INDEX)
    expect(#gateway:requests "PUT"):to_be(1)
    expect(gateway:requests("PUT")[1].status):to_be(201)
    expect(out.audit[1]):to_match { phase = "intent", action = "index_update" }
    expect(out.audit[2]):to_match { phase = "outcome", action = "index_update", status = "created" }
  end)

  it("is a fresh one in each test", function()
    expect(gateway:state().indexes):to_equal {}
    expect(gateway:stats().requests):to_be(0)
  end)

  it("takes --dry-run as the command line does", function()
    expect(deploy("--dry-run").data.results[1].status):to_be "planned"
    expect(gateway:requests "PUT"):to_equal {}
  end)

  it("misbehaves as it is told; what is waited for takes no time", function()
    gateway:fault { status = 429, retry_after = 20, method = "PUT", times = 1 }
    local began = time.monotonic()
    expect(deploy().data.results[1]):to_match { status = "created", attempts = 2 }
    expect(time.monotonic() - began):to_be_above(20)
  end)

  it("takes the words of a command line, and finds fault with them as that does", function()
    expect(deploy "--nothing"):to_fail_with("usage", "unknown flag")
    expect(gateway:run("deploy-index", "--precision", "odd").exit_status):to_be(2)
  end)

  it("gives a failure as the command would end with", function()
    gateway:fault { status = 403, method = "PUT" }
    local out = deploy()
    expect(out.exit_status):to_be(4)
    expect(out.data.results[1].error.status):to_be(403)
    out = gateway:run("deploy-index", "/nonexistent.json", "--vector-store", "vs")
    expect(out):to_fail_with()
    expect(out.exit_status):not_to_be(0)
  end)

  it("runs a script of the user's, and what it prints is its text", function()
    local path = test.file("hello.lua", 'print("hello", ...) return { words = select("#", ...) }')
    local out = gateway:run(path, "a", "b")
    expect(out.text):to_be "hello\ta\tb"
    expect(out.data):to_equal { words = 2 }
    out = gateway:run(test.file("bad.lua", "error('no')"))
    expect(out):to_fail_with("script", "no")
    expect(out.exit_status):to_be(1)
  end)

  it("runs a definition", function()
    local out = gateway:run(workflow.define {
      name = "list-models", summary = "models", flags = { { "times", "how often", type = "integer", default = 1 } },
      run = function(run, args)
        run:note "a note"
        return { indexes = #run.gateway:get_path("/api/v2/ai/models").content.entities, times = args.times }
      end,
    }, "--times", 2)
    expect(out.error):to_be_nil()
    expect(out.data):to_equal { indexes = 3, times = 2 }
    expect(out.notes):to_equal { "a note" }
  end)

  it("is there for as long as a run waits: days in a millisecond", function()
    local out = gateway:run(workflow.define {
      name = "patient", summary = "waits between two looks",
      run = function(run)
        local function look() return #run.gateway:get_path("/api/v2/ai/models").content.entities end
        local first = run:step("look", look)
        run:sleep(75 * 3600) -- longer than a token lives
        return { same = first == run:step("look", look) }
      end,
    })
    expect(out.error):to_be_nil()
    expect(out.data):to_equal { same = true }
    expect(gateway:state().oauth.minted):to_be_above(1)
  end)

  it("tells webhooks of the project, and has what they were sent", function()
    gateway = test.sim { project = { webhooks = { team = { url = "https://hooks.example.com/x" } } } }
    expect(deploy().exit_status):to_be(0)
    local team = gateway:state().receiver.team
    expect(team.received):to_be_above(0)
    expect(team.deliveries[1].type):to_be "index_update"
  end)

  it("has the same ids and times in each run", function()
    local out = deploy()
    expect(out.data.results[1].correlation_id):to_be_a "string"
    expect(out.data.results[1].last_update):to_match "^2026%-0"
  end)
end)

describe("a test's own files", function()
  it("are there, and as they were given", function()
    expect(assert(fs.read(test.file("a.json", { b = 1 })))):to_be '{"b":1}\n'
    expect(assert(fs.read(test.file("lines.jsonl", { { a = 1 }, { a = 2 } })))):to_be '{"a":1}\n{"a":2}\n'
    expect(assert(fs.read(test.file("deep/er/a.txt", "text")))):to_be "text"
    expect(test.folder()):not_to_equal(test.folder())
  end)
end)

describe("snapshots", function()
  it("hold what was once right", function()
    expect({ status = "created", list = { 1, 2 } }):to_match_snapshot()
    expect("a text\n=== that looks like a head\n\nof a snapshot\n"):to_match_snapshot "text"
  end)
end)

test.skip("a test that is skipped", "it shows how")
