-- test.lua - `moongate test FILE...`: runs files of tests, each with moongate.test in reach, and reports in TAP.
local errors = require "moongate.error"
local fs = require "moongate.fs"
local test = require "moongate.test"

local M = {}

-- A run has one clock, and the first line of its first file picks it. What can't be read is told of by the run itself.
local function check_clocks(files)
  local first
  for _, path in ipairs(files) do
    local text = fs.read(path)
    if text then
      local virtual = text:match("^[^\n]*"):find("virtual clock", 1, true) ~= nil
      if first == nil then first = virtual end
      if virtual ~= first then
        error(errors.new {
          code = "usage", message = ("%s wants a virtual clock, %s does not"):format(virtual and path or files[1],
            virtual and files[1] or path),
          hint = "run them one by one",
        }, 0)
      end
    end
  end
end

function M.run(ctx, args)
  check_clocks(args.file)
  return test.main(args.file, ctx)
end

return M
