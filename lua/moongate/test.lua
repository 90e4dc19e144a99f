-- test.lua - a small harness. t.test(name, fn) runs fn in a task of its own and prints TAP; after each test nothing
-- may be left over: no task, no transfer, no work on the pool.
local host = require "moongate.host"
local task = require "moongate.task"
local errors = require "moongate.error"

local M = {}
local count, failed = 0, 0
local write = host.write -- where TAP goes
local outcomes = {}

local function out(text)
  assert(write(text .. "\n"))
end

local function show(v)
  if type(v) == "string" then return string.format("%q", v) end
  return tostring(v)
end

local function same(a, b)
  if a == b or (a ~= a and b ~= b) then return math.type(a) == math.type(b) or a == b end
  if type(a) ~= "table" or type(b) ~= "table" or errors.is(a) ~= errors.is(b) then return false end
  for k, v in next, a do
    if not same(v, rawget(b, k)) then return false end
  end
  for k in next, b do
    if rawget(a, k) == nil then return false end
  end
  return true
end

local function dump(v, depth)
  if type(v) ~= "table" or depth > 3 then return show(v) end
  local parts = {}
  for k, x in next, v do
    parts[#parts + 1] = (type(k) == "string" and k or "[" .. show(k) .. "]") .. " = " .. dump(x, depth + 1)
  end
  table.sort(parts)
  return "{" .. table.concat(parts, ", ") .. "}"
end

-- a equals b, tables by content.
function M.eq(a, b, what)
  if not same(a, b) then
    error((what and what .. ": " or "") .. "got " .. dump(a, 0) .. ", expected " .. dump(b, 0), 2)
  end
end

function M.ok(v, what)
  if not v then error(what or "expected a true value, got " .. show(v), 2) end
  return v
end

-- fn(...) raises, and the message matches pattern. Returns what was raised.
function M.raises(fn, pattern, ...)
  local ok, err = pcall(fn, ...)
  if ok then error("expected an error", 2) end
  if pattern and not tostring(err):find(pattern) then
    error("the error is " .. show(tostring(err)) .. ", expected " .. show(pattern), 2)
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
  if value ~= nil then error("expected nil and an error, got " .. dump(value, 0), 2) end
  if not errors.is(err) then error("expected an error object, got " .. dump(err, 0), 2) end
  if type(code) == "string" and err.code ~= code then
    error("the error is " .. tostring(err.code) .. " (" .. tostring(err) .. "), expected " .. code, 2)
  end
  return err
end

local function comment(text)
  out("# " .. tostring(text):gsub("\n", "\n# "))
end

local function report(name, err)
  count = count + 1
  outcomes[count] = { name = name, status = err and "failed" or "passed", message = err and tostring(err) or nil }
  if not err then return out(("ok %d - %s"):format(count, name)) end
  failed = failed + 1
  out(("not ok %d - %s"):format(count, name))
  comment((err.where and err.where .. ": " or "") .. tostring(err))
  if err.traceback then comment(err.traceback) end
end

-- What lives now and did not before, after a little time to go.
local function leftovers(before)
  local left
  for _ = 1, 100 do
    local now = host.stats()
    left = nil
    for _, k in ipairs { "tasks", "transfers", "works" } do
      if now[k] > before[k] then left = ("%d %s left over"):format(now[k] - before[k], k) end
    end
    if not left then return nil end
    task.yield()
  end
  return left
end

function M.test(name, fn)
  local before = host.stats()
  local t = task.spawn(fn)
  local _, err = t:join()
  if t:status() == "done" then err = nil end
  if not err then
    local left = leftovers(before)
    if left then err = errors.new { code = "script", message = left } end
  end
  report(name, err)
end

function M.skip(name, why)
  count = count + 1
  outcomes[count] = { name = name, status = "skipped", message = why }
  out(("ok %d - %s # SKIP %s"):format(count, name, why or ""))
end

-- Runs test files, for the command ctx; exit status. With --json standard output is the document's, and TAP goes to
-- standard error.
function M.main(files, ctx)
  local sandbox = require "moongate.sandbox"
  if ctx.json then
    write = function(text)
      host.write_err(text)
      return true
    end
  end
  for _, path in ipairs(files) do
    local fn, err = sandbox.load_test(path)
    if fn then
      local t = task.spawn(fn)
      _, err = t:join()
      if t:status() == "done" then err = nil end
    end
    if err then report(path, err) end
  end
  out("1.." .. count)
  if failed > 0 then comment(("%d of %d failed"):format(failed, count)) end
  ctx:result({ failed = failed, tests = require("moongate.json").array(outcomes), total = count })
  return failed == 0 and 0 or 1
end

return M
