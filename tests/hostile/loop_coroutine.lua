-- Loops in coroutines in coroutines, each caught.
-- flags: --max-time 1s
-- status: 1
-- says: took longer than --max-time
local function again()
  while true do
    pcall(coroutine.wrap(function() again() end))
    local co = coroutine.create(function() while true do pcall(error) end end)
    while true do coroutine.resume(co) end
  end
end
again()
