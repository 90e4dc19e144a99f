-- Nothing, repeated 2^62 times.
-- flags: --max-time 1s
-- status: 1
-- says: took longer than --max-time|too large
return #(""):rep(1 << 62)
