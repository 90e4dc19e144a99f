-- C calls upon C calls.
-- flags: --max-time 10s
-- status: 1
-- says: overflow|too complex|done|levels|too many
print(pcall(load, "return " .. ("("):rep(1e5) .. "1" .. (")"):rep(1e5)))
print(pcall(string.find, "x", ("("):rep(1000)))
print(pcall(string.find, ("x"):rep(1e6), (".-"):rep(1000) .. "y"))
local function nest(n) return (("x"):gsub(".", function() return nest(n + 1) end)) end
print(pcall(nest, 1))
local t = {}
for _ = 1, 1e5 do t = setmetatable({}, { __index = t }) end
print(pcall(function() return t.x end))
error "done"
