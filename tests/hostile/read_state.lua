-- The program's own state and the user's credentials, below an allowed folder.
-- flags: --allow-read=.. --allow-write=..
-- status: 7
-- says: never allowed to a script
local fs = require "moongate.fs"
local _, outside = ...

local function try(what, value, err)
  if value then print("LEAK " .. what .. ": " .. tostring(value)) end
  print(what .. ": " .. tostring(err and err.code))
  last = err
end

for _, path in ipairs { ".moongate/audit.jsonl", ".moongate", "../.gc/config.toml", "../.pgpass" } do
  try(path, fs.read(path))
  try(path, fs.list(path))
  try(path, fs.stat(path))
  try(path, fs.write(path, "x"))
  try(path, fs.remove(path))
end
error(last, 0)
