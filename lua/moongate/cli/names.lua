-- names.lua - the names that the command line knows: for suggestions, and for what may not be called the same.
local bundled = require "moongate.bundled"
local commands = require "moongate.cli.commands"

local M = {}

-- Of a list of commands.
function M.of(list)
  local names = {}
  for _, entry in ipairs(list) do names[#names + 1] = entry.name end
  return names
end

-- Everything that can stand where a command does, workflows in folders aside.
function M.all()
  local names, workflows = M.of(commands.commands), bundled.names()
  return table.move(workflows, 1, #workflows, #names + 1, names)
end

return M
