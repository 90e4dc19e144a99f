-- settings.lua - the project file and the credentials, for whoever runs with them: raises what is wrong with them.
local fail = require "moongate.fail"
local host = require "moongate.host"
local log = require "moongate.log"

local M = {}

-- Places of secrets whose variable is not set, below `value`: {path, name} each.
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

function M.unset(value, path)
  local out = unset(value, path, {})
  table.sort(out, function(a, b) return a.path < b.path end)
  return out
end

-- The data; an empty table without a project file.
function M.project()
  local project = host.project()
  if project.error then error(project.error, 0) end
  if #project.faults > 0 then fail.file_faults(project.faults, "moongate help explains the project file") end
  local faults = {}
  for i, u in ipairs(M.unset(project.data, "")) do
    faults[i] = { file = project.path, path = u.path, message = ("%s is not set in the environment"):format(u.name) }
  end
  if #faults > 0 then fail.file_faults(faults) end
  return project.data
end

-- Raises when it can't be told where the gateway is or who we are; a flag that says so wrongly is a usage error.
-- Warnings are logged.
function M.check_credentials(ctx)
  local c = host.credentials()
  for _, warning in ipairs(c.warnings) do log.warn("%s", warning) end
  if not c.error then return end
  if ctx.opts.region or ctx.opts.login_url or ctx.opts.profile then c.error.code = "usage" end
  error(c.error, 0)
end

return M
