-- Devices that never end.
-- flags: --allow-read=/dev
-- status: 7
-- says: reading /dev/stdin is not allowed
local fs = require "moongate.fs"
local _, outside = ...

local function try(what, value, err)
  if value then print("LEAK " .. what .. ": " .. tostring(value)) end
  print(what .. ": " .. tostring(err and err.code))
  last = err
end

for _, path in ipairs { "/dev/zero", "/dev/urandom", "/dev/tty", "/dev/stdin" } do
  try(path, fs.read(path, 100))
  try(path, fs.lines(path):read())
end
error(last, 0)
