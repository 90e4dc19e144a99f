-- Moving what is not there, nearly for ever.
-- flags: --max-time 1s
-- status: 1
-- says: took longer than --max-time
table.move({}, 1, math.maxinteger - 1, 2)
