-- A comparator that does not end.
-- flags: --max-time 1s
-- status: 1
-- says: took longer than --max-time
while true do
  pcall(table.sort, { 3, 1, 2, 5, 4 }, function() while true do pcall(error) end end)
end
