-- More values than a stack holds.
-- flags: --max-memory 64M --max-time 10s
-- status: 1
-- says: too many results
return select('#', table.unpack({}, 1, 1e8))
