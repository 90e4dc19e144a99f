-- allow.lua - `moongate allow [DIR]`: the user says that a folder is to be trusted. See src/cli/trust.h.
local errors = require "moongate.error"
local hash = require "moongate.hash"
local host = require "moongate.host"
local json = require "moongate.json"

local M = {}

local PROJECT, SIZE_MAX = "moongate.lua", 1 << 20

-- The hash of the folder's project file; "" when there is none. Raises.
local function hash_of(folder)
  local path = folder .. "/" .. PROJECT
  if not host.fs.stat(path) then return "" end
  return hash.sha256(assert(host.fs.read(path, SIZE_MAX)))
end

-- M.folder(folder) -> its path: from here on it is trusted. Raises.
function M.folder(folder)
  return assert(host.allow_folder(folder, hash_of(folder), true))
end

function M.run(ctx, args)
  local folder = args.dir or "."
  local stat = host.fs.stat(folder)
  if not stat or stat.type ~= "directory" then
    errors.raise { code = "invalid", message = ("%s is not a folder"):format(folder) }
  end
  if args.remove then
    local path = assert(host.allow_folder(folder, "", false))
    return ctx:result({ folder = path, allowed = false }, path .. " is no longer allowed")
  end
  local path, workflows = M.folder(folder), json.array {}
  for _, file in ipairs(host.fs.list(folder .. "/workflows") or {}) do
    if file:find "%.lua$" then workflows[#workflows + 1] = file end
  end
  local has_project = hash_of(folder) ~= ""
  ctx:result({ folder = path, allowed = true, project_file = has_project, workflows = workflows },
    ("%s is allowed: %s, %d workflow%s"):format(path, has_project and PROJECT or "no project file", #workflows,
      #workflows == 1 and "" or "s"))
end

return M
