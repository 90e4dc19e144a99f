-- Trusted code by way of environments.
-- status: 1
-- says: .
local seen = load "return _G, _ENV"
local g = seen()
if g ~= _G then print "LEAK" end
local all = load("return require", "x", "t", setmetatable({}, { __index = function(_, k) return nil end }))
if all() then print "LEAK" end
for _, f in ipairs { print, require, load, setmetatable, getmetatable } do
  if pcall(string.dump or error, f) then print "LEAK" end
end
_G.require, _G.print = nil, nil
error "done"
