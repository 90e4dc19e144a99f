-- A pattern that takes an age: no hook reaches it.
-- flags: --max-time 1s
-- status: 1
-- says: took longer than --max-time.*by force
return ("a"):rep(100000):find(("a*"):rep(20) .. "b")
