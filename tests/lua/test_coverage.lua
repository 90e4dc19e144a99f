-- Counting lines: what is loaded with counters is the same program.
local coverage = require "moongate.cli.test.coverage"
local host = require "moongate.host"
local test = require "moongate.test"

local describe, it, expect = test.describe, test.it, test.expect

-- Runs a source with counters -> what it returns, {line = count}
local function run(source, ...)
  local text = coverage.instrument(source)
  local counts = {}
  local env = setmetatable({ __coverage = function(line) counts[line] = (counts[line] or 0) + 1 end }, { __index = _G })
  return assert(load(text, "@x.lua", "t", env))(...), counts
end

describe("a source with counters", function()
  it("does what it did before", function()
    expect((run([[
local out = {}
local f = function(x) out[#out + 1] = x return f end
f(1)
;(f)(2)
for i = 1, 3 do if i == 2 then goto continue end f(i) ::continue:: end
repeat local done = #out > 4 f "again" until done
local t <const>, u <close> = 1, nil
while #out < 8 do f(t) break end
goto last
do f "never" end
::last::
return table.concat(out, " "), u]]))):to_be "1 2 1 3 again again 1"
  end)

  it("keeps lines, arguments and the rule for labels at the end of a block", function()
    local source = "local a, b = ...\n\nif a then\n  do goto out end\n  local c\n  ::out::\nend\nreturn b"
    local value, counts = run(source, true, 7)
    expect(value):to_be(7)
    expect(counts):to_equal { [1] = 1, [3] = 1, [4] = 1, [8] = 1 }
    local ok, err = pcall(run, "local x\n\nerror 'here'")
    expect({ ok, err }):to_equal { false, "x.lua:3: here" }
  end)

  it("loads, whatever stands in it", function()
    for _, name in ipairs(host.embedded_list "") do
      if name:find "%.lua$" then
        local text = coverage.instrument(host.embedded(name))
        local ok, err = load(text, "@" .. name, "t", {})
        if not ok then error(err, 0) end
      end
    end
  end)
end)

describe("what was counted", function()
  local total = {}
  coverage.add(total, { ["./a.lua"] = { { 1, 2 }, { 2, 0 }, { 3, 0 }, { 9, 0 }, { 10, 1 } } })
  coverage.add(total, { ["b.lua"] = { { 1, 1 } } }, "inner")
  coverage.add(total, { ["a.lua"] = { { 1, 1 }, { 9, 0 } } })

  it("is added up, and shown as a table", function()
    expect(coverage.table(total)):to_equal {
      "file         lines   hit      %  not run",
      "a.lua            5     2   40.0  2-9",
      "inner/b.lua      1     1  100.0",
      "all              6     3   50.0",
    }
  end)

  it("is written as lcov", function()
    expect(coverage.lcov { ["a.lua"] = { [2] = 1, [1] = 0 } }):to_be(
      "TN:\nSF:a.lua\nDA:1,0\nDA:2,1\nLF:2\nLH:1\nend_of_record\n")
    expect(coverage.lcov {}):to_be ""
  end)
end)
