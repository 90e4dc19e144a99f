-- test.lua - `moongate test FILE...`: runs files of tests, each with moongate.test in reach, and reports in TAP.
local test = require "moongate.test"

local M = {}

function M.run(ctx, args)
  return test.main(args.file, ctx)
end

return M
