-- version.lua - `moongate version`.
local host = require "moongate.host"
local json = require "moongate.json"

local M = {}

function M.run(ctx)
  local versions = host.version()
  local bugs = {}
  for line in versions.libcurl_bugs:gmatch "[^\n]+" do bugs[#bugs + 1] = line end
  versions.libcurl_bugs = nil
  local lines = { "moongate " .. versions.moongate }
  if ctx.opts.verbose > 0 then
    local names = {}
    for name in pairs(versions) do if name ~= "moongate" then names[#names + 1] = name end end
    table.sort(names)
    for _, name in ipairs(names) do lines[#lines + 1] = ("%s %s"):format(name, versions[name]) end
    if #bugs > 0 then lines[#lines + 1] = "\nKnown bugs of this libcurl, and what moongate does about them:" end
    for _, line in ipairs(bugs) do lines[#lines + 1] = "- " .. line end
  end
  versions.known_bugs = { libcurl = json.array(bugs) }
  ctx:result(versions, table.concat(lines, "\n"))
end

return M
