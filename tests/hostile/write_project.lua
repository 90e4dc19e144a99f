-- The project file would give the next run more.
-- flags: --allow-write=.
-- status: 7
-- says: never allowed to a script
local fs = require "moongate.fs"
local _, outside = ...

local function try(what, value, err)
  if value then print("LEAK " .. what .. ": " .. tostring(value)) end
  print(what .. ": " .. tostring(err and err.code))
  last = err
end

try("write", fs.write("moongate.lua", "return { permissions = { read = { '/' } } }"))
try("remove", fs.remove "moongate.lua")
error(last, 0)
