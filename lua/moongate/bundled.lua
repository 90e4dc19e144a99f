-- bundled.lua - the workflows inside the program: scripts/deploy_index.lua is the command deploy-index.
local host = require "moongate.host"
local sandbox = require "moongate.sandbox"

local M = {}

local function file_of(name)
  return name:find("^%l[%l%d-]*$") and "scripts/" .. name:gsub("-", "_") .. ".lua"
end

-- Sorted command names.
function M.names()
  local names = {}
  for _, file in ipairs(host.embedded_list("scripts/")) do
    local base = file:match("^scripts/([%w_]+)%.lua$")
    if base then names[#names + 1] = (base:gsub("_", "-")) end
  end
  table.sort(names)
  return names
end

function M.exists(name)
  local file = file_of(name)
  return file and host.embedded(file) ~= nil
end

-- The definition, or nil when there is no workflow of that name. It runs in a script's environment like any other.
function M.load(name)
  local file = file_of(name)
  local source = file and host.embedded(file)
  if not source then return nil end
  local chunk, err = sandbox.load_own(source, "@" .. file)
  if not chunk then error(err, 0) end
  return chunk()
end

-- What the workflow's source is known by.
function M.hash(name)
  return require("moongate.hash").sha256(host.embedded(file_of(name)))
end

return M
