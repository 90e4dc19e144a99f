-- An error object whose text does not end.
-- flags: --max-time 1s
-- status: 1
-- says: took longer than --max-time
error(setmetatable({}, { __tostring = function() while true do pcall(error) end end }))
