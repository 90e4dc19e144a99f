-- A loop in an error handler.
-- flags: --max-time 1s
-- status: 1
-- says: took longer than --max-time
while true do xpcall(error, function() while true do end end) end
