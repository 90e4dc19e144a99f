-- Bytecode, which could do anything.
-- status: 1
-- says: binary chunk|attempt to load
local dumped = pcall(function() return string.dump(function() end) end)
if dumped then print "LEAK" end
if ("x").dump then print "LEAK" end
for _, mode in ipairs { "b", "bt", "t" } do
  if load("\27Lua\84\0\25\147\r\n\26\n", "x", mode) then print "LEAK" end
end
if load(function() return "\27Lua" end, "x", "b") then print "LEAK" end
error(select(2, load("\27LuaT", "x", "b")), 0)
