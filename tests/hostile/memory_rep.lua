-- A string of a tebibyte.
-- flags: --max-memory 64M --max-time 10s
-- status: 1
-- says: not enough memory|memory limit|too large|too much memory|more than
return #("x"):rep(1 << 40)
