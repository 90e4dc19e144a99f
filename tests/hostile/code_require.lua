-- Modules by paths that lead elsewhere.
-- status: 1
-- says: not found
local _, outside = ...
for _, name in ipairs { "../outside/canary", outside .. "/canary", "..outside.canary", ".", "", "dir.canary", "link", "environ", "a/../../outside/canary",
  "moongate..host", "moongate.host.", "moongate.cli.run", "moongate/host" } do
  local ok, value = pcall(require, name)
  if ok then print("LEAK " .. name .. tostring(value)) end
  print(name, value)
end
require "..outside.canary"
