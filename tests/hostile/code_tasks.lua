-- Tasks and coroutines that are not its own.
-- status: 1
-- says: only the scheduler|cannot|outside|not a
local task = require "moongate.task"
local main = coroutine.running()
if pcall(coroutine.resume, main) and select(2, coroutine.resume(main)) then print "LEAK" end
print(pcall(coroutine.close, main))
print(pcall(coroutine.wrap(function() return coroutine.resume(main) end)))
local co = coroutine.wrap(function() return require("moongate.fs").read "../outside/canary" end)
print(pcall(co))
coroutine.yield()
