-- A callback of gsub that does not end.
-- flags: --max-time 1s
-- status: 1
-- says: took longer than --max-time
while true do
  pcall(string.gsub, "xxx", ".", function() while true do pcall(error) end end)
end
