-- A pipe that nobody writes to.
-- status: 7
-- says: neither a file nor a folder
local fs = require "moongate.fs"
local _, outside = ...

local function try(what, value, err)
  if value then print("LEAK " .. what .. ": " .. tostring(value)) end
  print(what .. ": " .. tostring(err and err.code))
  last = err
end

try("read", fs.read "fifo")
try("lines", fs.lines("fifo"):read())
try("secret", require("moongate.secret").file "fifo")
error(last, 0)
