-- A loop that catches whatever ends it.
-- flags: --max-time 1s
-- status: 1
-- says: took longer than --max-time
while true do pcall(function() while true do end end) end
