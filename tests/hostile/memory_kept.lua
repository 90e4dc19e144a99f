-- All memory is taken when the script fails: the report of it still comes.
-- flags: --max-memory 64M --max-time 10s
-- status: 1
-- says: the last word|not enough memory|memory limit|too large|too much memory|more than
kept = {}
pcall(function() while true do kept[#kept + 1] = ("x"):rep(1000) .. #kept end end)
error("the last word")
