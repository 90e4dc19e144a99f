-- Links out of the working directory.
-- status: 7
-- says: symbolic link|not allowed
local fs = require "moongate.fs"
local _, outside = ...

local function try(what, value, err)
  if value then print("LEAK " .. what .. ": " .. tostring(value)) end
  print(what .. ": " .. tostring(err and err.code))
  last = err
end

for _, path in ipairs { "link", "dir/canary", "deep/link", "environ", "root/etc/hostname" } do
  try(path, fs.read(path))
  try(path, fs.lines(path):read())
end
try("list", fs.list "dir")
try("stat", fs.stat "link")
error(last, 0)
