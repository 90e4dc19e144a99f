-- Recursion without end, caught by each level.
-- flags: --max-memory 64M --max-time 2s
-- status: 1
-- says: stack overflow|not enough memory|error in error handling|done|took longer
local function deep() return pcall(deep) and deep() or deep() end
local ok = pcall(deep)
error("done " .. tostring(ok))
