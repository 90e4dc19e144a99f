-- The same, caught and begun again.
-- flags: --max-time 1s
-- status: 1
-- says: took longer than --max-time.*by force
while true do pcall(string.find, ("a"):rep(100000), ("a*"):rep(20) .. "b") end
