-- A loop.
-- flags: --max-time 1s
-- status: 1
-- says: took longer than --max-time
while true do end
