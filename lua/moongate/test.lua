-- test.lua - what a file of tests works with: describe, it and their hooks, expect, simulated gateways, snapshots,
-- files of the test's own; and the older test, eq, ok, raises, fails. docs/testing.md shows how. The file is run by
-- `moongate test` (cli/test.lua), each in a process of its own.
local errors = require "moongate.error"
local expect = require "moongate.test.expect"
local fs = require "moongate.fs"
local show = require "moongate.test.show"
local snapshot = require "moongate.test.snapshot"
local suite = require "moongate.test.suite"

local M = {
  describe = suite.describe, it = suite.it, before = suite.before, after = suite.after,
  before_each = suite.before_each, after_each = suite.after_each, test = suite.test, skip = suite.skip,
  expect = expect.expect,
}

expect.add("to_match_snapshot", function(subject, name)
  local test = suite.current()
  if not test then expect.fail("to_match_snapshot works inside a test", nil, 3) end
  local same, message, lines = snapshot.check(test, subject.value, name)
  return same, message, "it is as the snapshot", lines
end)

-- test.sim{…} -> a simulated gateway for this test, and workflows run against it: test/sim.lua.
function M.sim(opts)
  local session = require("moongate.test.sim").start(opts)
  return session
end

-- ---- files ----

local folder, made = nil, 0 -- where the files of this run of tests lie; how many folders it has

-- M.set_folder(path): for the worker.
function M.set_folder(path) folder = path end

-- test.folder() -> path of a new, empty folder; gone after the run.
function M.folder()
  if not folder then error("test.folder: no run of tests", 2) end
  made = made + 1
  local path = ("%s/%d"):format(folder, made)
  assert(fs.mkdir(path))
  return path
end

-- test.file(name, content) -> path of a new file in a folder of its own. A table becomes JSON; a list of tables in a
-- file *.jsonl a line each.
function M.file(name, content)
  local json = require "moongate.json"
  local text = content
  if type(content) == "table" and name:find "%.jsonl$" then
    local lines = {}
    for i, item in ipairs(content) do lines[i] = assert(json.encode(item)) .. "\n" end
    text = table.concat(lines)
  elseif type(content) == "table" then
    text = assert(json.encode(content)) .. "\n"
  end
  local path = M.folder() .. "/" .. name
  local below = path:match "^(.*)/"
  assert(fs.mkdir(below))
  assert(fs.write(path, text))
  return path
end

-- ---- the older checks ----

-- a equals b, tables by content.
function M.eq(a, b, what)
  if show.same(a, b) then return end
  local lines = type(a) == "table" and type(b) == "table" and show.diff(a, b) or nil
  what = what and tostring(what) .. ": " or ""
  expect.fail(("%sgot %s, expected %s"):format(what, show.brief(a), show.brief(b)), lines, 2)
end

function M.ok(v, what)
  if not v then expect.fail(what and tostring(what) or "expected a true value, got " .. show.brief(v), nil, 2) end
  return v
end

-- fn(...) raises, and the message matches pattern. Returns what was raised.
function M.raises(fn, pattern, ...)
  local ok, err = pcall(fn, ...)
  if ok then expect.fail("expected an error", nil, 2) end
  if pattern and not tostring(err):find(pattern) then
    expect.fail(("the error is %s, expected %s"):format(show.brief(tostring(err)), show.brief(pattern)), nil, 2)
  end
  return err
end

-- t.fails(code, f(...)) or t.fails(f(...)): the results are nil and an error object (with that code). Returns the
-- object.
function M.fails(...)
  local code, value, err = ...
  if type(code) ~= "string" then
    value, err = ...
    code = select(3, ...)
  end
  if value ~= nil then expect.fail("expected nil and an error, got " .. show.brief(value), nil, 2) end
  if not errors.is(err) then expect.fail("expected an error object, got " .. show.brief(err), nil, 2) end
  if type(code) == "string" and err.code ~= code then
    expect.fail(("the error is %s (%s), expected %s"):format(tostring(err.code), tostring(err), code), nil, 2)
  end
  return err
end

return M
