-- bundled.lua - the workflows inside the program: scripts/deploy_index.lua is the command deploy-index.
local commands = require "moongate.cli.commands"
local host = require "moongate.host"

local M = {}

-- Sorted command names.
function M.names()
  local names = {}
  for _, file in ipairs(host.bundled()) do
    local base = file:match("^scripts/([%w_]+)%.lua$")
    if base then names[#names + 1] = (base:gsub("_", "-")) end
  end
  table.sort(names)
  return names
end

local function file_of(name)
  if not name:find("^[%l%d-]+$") then return nil end
  local file = "scripts/" .. name:gsub("-", "_") .. ".lua"
  for _, known in ipairs(host.bundled()) do
    if known == file then return file end
  end
end

-- The definition, or nil when there is no workflow of that name.
function M.load(name)
  local file = file_of(name)
  if not file then return nil end
  return host.load_bundled(file)
end

function M.list_names(list)
  local names = {}
  for _, entry in ipairs(list) do names[#names + 1] = entry.name end
  return names
end

-- Everything that can stand where a command does.
function M.all_names()
  local names = M.list_names(commands.commands)
  return table.move(M.names(), 1, #M.names(), #names + 1, names)
end

return M
