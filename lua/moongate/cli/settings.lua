-- settings.lua - the project file's data for whoever runs with it: raises what is wrong with it, once and in full.
local fail = require "moongate.cli.fail"
local host = require "moongate.host"

local M = {}

-- Places of secrets whose variable is not set, below `value`.
local function unset(value, path, out)
  for key, v in pairs(value) do
    local here = path == "" and tostring(key) or path .. "." .. tostring(key)
    if type(v) == "table" and type(v.unset) == "string" then
      out[#out + 1] = { path = here, name = v.unset }
    elseif type(v) == "table" then
      unset(v, here, out)
    end
  end
  return out
end

-- The data; an empty table without a project file.
function M.project()
  local project = host.project()
  if project.error then error(project.error, 0) end
  if #project.faults > 0 then fail.file_faults(project.faults, "moongate help explains the project file") end
  local faults = {}
  for i, u in ipairs(unset(project.data, "", {})) do
    faults[i] = { file = project.path, path = u.path, message = ("%s is not set in the environment"):format(u.name) }
  end
  table.sort(faults, function(a, b) return a.path < b.path end)
  if #faults > 0 then fail.file_faults(faults) end
  return project.data
end

return M
