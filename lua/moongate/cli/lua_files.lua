-- lua_files.lua - the files of Lua in and below a folder, in the order of their names. Hidden folders and node_modules
-- are passed over.
local fs = require "moongate.fs"

local M = {}

local DEPTH_MAX = 32

function M.kind(path)
  local stat = fs.stat(path)
  return stat and stat.type
end

local function walk(folder, accept, deep, out, depth)
  if depth > DEPTH_MAX then return end
  local names, err = fs.list(folder)
  if not names then error(err, 0) end
  for _, name in ipairs(names) do
    local path = folder == "." and name or (folder:gsub("/+$", "")) .. "/" .. name
    local kind = M.kind(path)
    if kind == "file" and name:find "%.lua$" and (not accept or accept(name)) then
      out[#out + 1] = path
    elseif kind == "directory" and deep and not name:find "^%." and name ~= "node_modules" then
      walk(path, accept, deep, out, depth + 1)
    end
  end
end

-- M.walk(folder, out [, accept [, flat]]): adds paths to out. accept(name): whether a file is one of them; flat: only
-- those in the folder itself. Raises.
function M.walk(folder, out, accept, flat) walk(folder, accept, not flat, out, 0) end

return M
