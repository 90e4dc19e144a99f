-- Files above the working directory, by every spelling.
-- status: 7
-- says: --allow-read=../outside/canary would allow it
local fs = require "moongate.fs"
local _, outside = ...

local function try(what, value, err)
  if value then print("LEAK " .. what .. ": " .. tostring(value)) end
  print(what .. ": " .. tostring(err and err.code))
  last = err
end

for _, path in ipairs { outside .. "/canary", "../outside/canary", "sub/../../outside/canary", "./.././outside//canary" } do
  try(path, fs.read(path))
end
error(select(2, fs.read "../outside/canary"), 0)
