-- Tests of your-workflow, each against a simulated gateway of its own and on a virtual clock: `moongate test`.
local json = require "moongate.json"
local test = require "moongate.test"

local describe, it, expect = test.describe, test.it, test.expect

describe("your-workflow", function()
  local gateway
  test.before_each(function() gateway = test.sim() end)

  local function run(...) return gateway:run("workflows/your_workflow.lua", ...) end

  it("creates what is not there", function()
    local out = run("sample.json")
    expect(out.error):to_be_nil()
    expect(out.data):to_match { status = "created", dimensions = 768 }
    expect(gateway:state().indexes["sim-store"].sample.configuration.dimensions):to_be(768)
  end)

  it("sends nothing when there is nothing to change", function()
    run("sample.json")
    expect(run("sample.json").data.status):to_be "unchanged"
    expect(gateway:requests "PUT"):to_have_length(1)
  end)

  it("shows what it would do, and sends nothing, with --dry-run", function()
    expect(run("sample.json", "--dry-run").data.status):to_be "planned"
    expect(gateway:requests "PUT"):to_equal {}
  end)

  it("outlasts a gateway that is away for a moment", function()
    gateway:fault "status=503,method=PUT,times=2"
    expect(run("sample.json").data.status):to_be "created"
    expect(gateway:requests "PUT"):to_have_length(3)
  end)

  it("says what is wrong with its input", function()
    local out = run(test.file("bad.json", { indexId = "bad", dimensions = json.array {} }))
    expect(out):to_fail_with "invalid"
    expect(out.exit_status):to_be(3)
  end)
end)
