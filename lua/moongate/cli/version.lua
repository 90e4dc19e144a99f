-- version.lua - `moongate version`.
local host = require "moongate.host"

local M = {}

function M.run(ctx)
  local versions = host.version()
  local lines = { "moongate " .. versions.moongate }
  if ctx.opts.verbose > 0 then
    local names = {}
    for name in pairs(versions) do if name ~= "moongate" then names[#names + 1] = name end end
    table.sort(names)
    for _, name in ipairs(names) do lines[#lines + 1] = ("%s %s"):format(name, versions[name]) end
  end
  ctx:result(versions, table.concat(lines, "\n"))
end

return M
