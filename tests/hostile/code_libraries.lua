-- Libraries that are not there, under every name.
-- status: 1
-- says: not found
for _, name in ipairs { "io", "os", "debug", "package", "ffi", "dofile", "loadfile", "rawsetmetatable" } do
  if _G[name] or _ENV[name] then print("LEAK " .. name) end
  if pcall(require, name) then print("LEAK " .. name) end
end
for _, name in ipairs { "host", "sandbox", "cli", "cli.run", "store", "lease", "journal", "runs", "outbox", "scope", "child", "span" } do
  if pcall(require, "moongate." .. name) then print("LEAK " .. name) end
  if require("moongate")[name] ~= nil then print("LEAK " .. name) end
end
require "moongate.host"
