-- Memory errors that are caught, for ever.
-- flags: --max-memory 64M --max-time 1s
-- status: 1
-- says: took longer than --max-time
while true do
  pcall(function()
    local t = {}
    while true do t[#t + 1] = ("x"):rep(100000) .. #t end
  end)
end
