-- Metatables that are not its own.
-- status: 1
-- says: .
local mt = getmetatable("")
if type(mt) == "table" then print "LEAK" end
pcall(function() getmetatable("").__index.rep = nil end)
pcall(setmetatable, "", { __index = {} })
string.format, string.gsub, table.concat, tostring, type = nil, nil, nil, nil, nil
local json = require "moongate.json"
json.encode = function() return "LEAK" end
local errors = require "moongate.error"
for _, v in ipairs { require("moongate.task").current(), require("moongate.json").null, errors.new { code = "x", message = "m" } } do
  local m = getmetatable(v)
  if m and m ~= false and rawequal(m, nil) then print "LEAK" end
  pcall(function() m.__index = function() return "LEAK" end end)
  pcall(setmetatable, v, {})
end
error(errors.new { code = "x", message = "still told" }, 0)
