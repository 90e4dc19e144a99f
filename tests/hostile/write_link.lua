-- With its folder to write in, but no more.
-- flags: --allow-write=.
-- status: 7
-- says: --allow-write=
local fs = require "moongate.fs"
local _, outside = ...

local function try(what, value, err)
  if value then print("LEAK " .. what .. ": " .. tostring(value)) end
  print(what .. ": " .. tostring(err and err.code))
  last = err
end

assert(fs.write("mine", "x"))
assert(fs.remove "mine")
for _, path in ipairs { "dir/new", "dir/canary", "../outside/new", "../new" } do
  try(path, fs.write(path, "x"))
  try(path, fs.remove(path))
  try(path, fs.mkdir(path))
end
error(last, 0)
