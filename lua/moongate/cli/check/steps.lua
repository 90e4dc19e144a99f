-- steps.lua - what a run does in a loop over pairs. The order of pairs is another one in the next process, so a run
-- that is resumed would meet its recorded steps in another order.
local walk = require "moongate.source.walk"

local M = {}

local STEPS = { step = true, read = true, sleep = true, timeout = true, webhook = true }
local TASKS = { spawn = true }

-- "pairs(t)", "next, t"
local function is_unordered(values, known)
  local first = values[1]
  if first.tag == "Call" then first = first.fn end
  local value = known:infer(first)
  return value ~= nil and (value.global == "pairs" or value.global == "next")
end

-- What the call is that must not stand there, or nil. is_workflow: tasks have a place in the journal, too.
local function what(node, known, is_workflow)
  if node.tag == "Method" and STEPS[node.name] then
    local object = known:infer(node.object)
    local is_run = object and object.class == "moongate.workflow.run"
    if is_run or (node.object.tag == "Name" and node.object.name == "run") then return "run:" .. node.name end
  elseif node.tag == "Call" and node.fn.tag == "Index" and is_workflow and TASKS[node.fn.name] then
    local object = known:infer(node.fn.object)
    if object and object.module == "moongate.task" then return "task." .. node.fn.name end
  end
end

-- M.faults(tree, values, is_workflow) -> list of {line, column, message}
function M.faults(tree, known, is_workflow)
  local faults, seen = {}, {}
  walk(tree, function(loop)
    if loop.tag ~= "ForIn" or not is_unordered(loop.values, known) then return end
    walk(loop.body, function(node)
      local name = not seen[node] and what(node, known, is_workflow)
      if not name then return end
      seen[node] = true
      faults[#faults + 1] = {
        line = node.line, column = node.column,
        message = ("%s in a loop over pairs (line %d), whose order may differ when the run is resumed: "):format(
          name, loop.line) .. "sort the keys first, and use ipairs",
      }
    end)
  end)
  return faults
end

return M
