-- suite.lua - tests and the blocks they stand in: what a file declares, the order it runs in, and what becomes of each.
--
-- describe and it declare while the file is loaded; M.run runs what was declared, each test in a task of its own inside
-- its block's task. M.test (the older form) runs at once. What happens is told to the sink that M.begin was given:
-- sink.started(name), sink.ended{name, status, err, why, again = how often it was run again}. status: passed, failed,
-- skipped.
local errors = require "moongate.error"
local host = require "moongate.host"
local left = require "moongate.test.left"
local task = require "moongate.task"
local variants = require "moongate.test.variants"

local M = {}

local SEPARATOR = " > "
local LEFT = { "tasks", "transfers", "works" } -- what a test may not leave behind

local sink, wanted, random -- wanted(name): whether the test is to run; random(n): 1 to n, or nil: in the order written
local root, block          -- block: the one whose describe runs now
local running              -- name of the test that runs now

local function new_block(name, parent)
  return { name = name, parent = parent, nodes = {}, before = {}, after = {}, before_each = {}, after_each = {} }
end

-- M.begin{sink = , wanted = , random = }: forgets what was declared.
function M.begin(opts)
  sink, wanted, random = opts.sink, opts.wanted or function() return true end, opts.random
  root = new_block(nil, nil)
  block = root
end

M.begin { sink = { started = function() end, ended = function() end } }

-- The full name of the test that runs, or nil.
function M.current() return running end

local function full_name(name, parent)
  while parent and parent.name do
    name, parent = parent.name .. SEPARATOR .. name, parent.parent
  end
  return name
end

-- ---- declaring ----

local function check_name(what, name)
  if type(name) ~= "string" or name == "" then error(what .. ": a name is needed", 3) end
  if running then error(("%s: not inside a test (%q runs)"):format(what, running), 3) end
end

-- describe(name, fn): a block; fn declares what is in it.
function M.describe(name, fn)
  check_name("describe", name)
  local inner = new_block(name, block)
  table.insert(block.nodes, inner)
  block = inner
  local ok, err = pcall(fn)
  block = inner.parent
  if not ok then error(err, 0) end
end

-- it(name [, fn]): a test. Without fn it is one still to be written.
function M.it(name, fn)
  check_name("it", name)
  if fn ~= nil and type(fn) ~= "function" then error("it: the test must be a function", 2) end
  table.insert(block.nodes, { name = name, fn = fn, parent = block, test = true, why = not fn and "not written yet" })
end

for _, hook in ipairs { "before", "after", "before_each", "after_each" } do
  M[hook] = function(fn)
    if type(fn) ~= "function" then error(hook .. ": a function is needed", 2) end
    if running then error(hook .. ": not inside a test", 2) end
    table.insert(block[hook], fn)
  end
end

-- ---- running ----

-- What lives now; the program's own tasks in the background don't count.
local function living()
  local now = host.stats()
  now.tasks = now.tasks - now.background
  return now
end

-- What lives now and did not before, after a little time to go: a job of the pool is over when its thread is.
local function leftovers(before)
  local found
  for i = 1, 100 do
    local now = living()
    found = nil
    for _, k in ipairs(LEFT) do
      if now[k] > before[k] then found = ("%d %s left over"):format(now[k] - before[k], k) end
    end
    if not found then return nil end
    if i < 50 then task.yield() else task.sleep(0.01) end
  end
  return found
end

-- Runs fn(…) in a task of its own -> nil, or what it failed with.
local function attempt(fn, ...)
  local t = task.spawn(fn, ...)
  local _, err = t:join()
  if t:status() == "done" then return nil end
  return err
end

local at_end = {} -- what is to be done when the test that runs has ended

-- M.at_end(fn): fn() at the end of the test that runs, whatever came of it; outside of one, never.
function M.at_end(fn)
  if running then at_end[#at_end + 1] = fn end
end

-- Runs a test's body once -> nil, or what it failed with.
local function run_body(body)
  local err = attempt(body)
  for i = #at_end, 1, -1 do
    local failed = attempt(at_end[i])
    at_end[i], err = nil, err or failed
  end
  return err
end

local SKIP = {}

-- Ends the running test: skipped. why: text
function M.skip_now(why)
  SKIP.why = why
  error(SKIP, 0)
end

local function ended(name, status, err, why, again)
  running = nil
  left.stop()
  sink.ended { name = name, status = status, err = err, why = why, again = again }
end

-- Runs a test's body between hooks, and tells.
local function run_test(name, body)
  if not wanted(name) then return end
  running = name
  sink.started(name)
  local before = living()
  local err, again = variants.around(function() return run_body(body) end)
  if err and err.value == SKIP then return ended(name, "skipped", nil, SKIP.why) end
  local over = not err and leftovers(before)
  if over then err = errors.new { code = "script", message = over } end
  ended(name, err and "failed" or "passed", err, nil, again)
end

-- M.test(name, fn): a test that runs at once; inside describe, as it.
function M.test(name, fn)
  if block ~= root then return M.it(name, fn) end
  check_name("test", name)
  run_test(name, function()
    left.begin(false) -- its servers end with it
    fn()
    left.check()
  end)
end

-- M.skip(name, why): a test that does not run; inside a test, that one.
function M.skip(name, why)
  if running then return M.skip_now(name) end
  if block ~= root then
    table.insert(block.nodes, { name = name, parent = block, test = true, why = why or "" })
  elseif wanted(name) then
    sink.started(name)
    ended(name, "skipped", nil, why)
  end
end

local function each_hook(node, kind, outermost_first)
  local list = {}
  while node do
    for i = #node[kind], 1, -1 do list[#list + 1] = node[kind][i] end
    node = node.parent
  end
  if outermost_first then
    for i = 1, #list // 2 do list[i], list[#list + 1 - i] = list[#list + 1 - i], list[i] end
  end
  return list
end

-- All of them, in any case -> the first failure, or nil.
local function attempt_all(hooks)
  local err
  for _, hook in ipairs(hooks) do
    local failed = attempt(hook)
    err = err or failed
  end
  return err
end

local function raise(err)
  if err then error(err.value == SKIP and SKIP or err, 0) end
end

-- The test with the hooks of its blocks around it. after_each runs in any case, while what the test has started is
-- there; the first failure counts.
local function with_hooks(node)
  return function()
    for _, hook in ipairs(each_hook(node.parent, "before_each", true)) do hook() end
    local after, ran = each_hook(node.parent, "after_each", false), false
    local function body()
      left.begin(true)
      node.fn()
      ran = true
      raise(attempt_all(after))
      left.check()
    end
    if #after == 0 then return body() end
    local err = attempt(body)
    local failed = not ran and attempt_all(after)
    raise(err or failed)
  end
end

local function order(nodes)
  local list = table.move(nodes, 1, #nodes, 1, {})
  if random then
    for i = #list, 2, -1 do
      local j = random(i)
      list[i], list[j] = list[j], list[i]
    end
  end
  return list
end

-- Whether a test in the block is to run, so that no hook runs for nothing.
local function any_wanted(node)
  if node.test then return wanted(full_name(node.name, node.parent)) end
  for _, child in ipairs(node.nodes) do
    if any_wanted(child) then return true end
  end
  return false
end

local function fail_all(node, err)
  for _, child in ipairs(node.nodes) do
    local name = full_name(child.name, child.parent)
    if not child.test then
      fail_all(child, err)
    elseif wanted(name) then
      sink.started(name)
      ended(name, "failed", err)
    end
  end
end

local run_block

local function run_node(node)
  if not node.test then return run_block(node) end
  local name = full_name(node.name, node.parent)
  if node.fn then return run_test(name, with_hooks(node)) end
  if wanted(name) then
    sink.started(name)
    ended(name, "skipped", nil, node.why)
  end
end

function run_block(node)
  if not any_wanted(node) then return end
  local reached = false
  local err = attempt(function()
    for _, hook in ipairs(node.before) do hook() end
    reached = true
    for _, child in ipairs(order(node.nodes)) do run_node(child) end
    for _, hook in ipairs(node.after) do hook() end
  end)
  if not err then return end
  if not reached then return fail_all(node, err) end
  local name = full_name("after", node)
  sink.started(name)
  ended(name, "failed", err)
end

-- M.run(): all that was declared. In a task.
function M.run()
  block = root
  run_block(root)
end

return M
