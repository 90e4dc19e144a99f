-- Writing, making and removing outside, by links and dots.
-- status: 7
-- says: --allow-write=
local fs = require "moongate.fs"
local _, outside = ...

local function try(what, value, err)
  if value then print("LEAK " .. what .. ": " .. tostring(value)) end
  print(what .. ": " .. tostring(err and err.code))
  last = err
end

for _, path in ipairs { outside .. "/new", "../outside/new", "dir/new", "inside" } do
  try(path, fs.write(path, "x"))
  try(path, fs.mkdir(path))
end
for _, path in ipairs { outside .. "/canary", "../outside/canary", "dir/canary", "link" } do
  try(path, fs.write(path, "x"))
  try(path, fs.remove(path))
end
error(last, 0)
