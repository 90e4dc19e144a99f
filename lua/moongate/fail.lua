-- fail.lua - raising error objects from commands.
local errors = require "moongate.error"

local M = {}

-- The command line is wrong: exit status 2.
function M.usage(format, ...)
  errors.raise { code = "usage", message = format:format(...), hint = "Run `moongate help`." }
end

-- Several faults of one command line. explain: the command line that shows its help, without "moongate".
function M.usage_faults(explain, faults)
  local details = {}
  for i, fault in ipairs(faults) do details[i] = { message = fault } end
  local one = #faults == 1
  errors.raise {
    code = "usage", message = one and faults[1] or ("%d errors on the command line"):format(#faults),
    details = not one and details or nil, hint = ("Run `moongate %s`."):format(explain),
  }
end

-- Faults of files: {file, line, column, path, message} each. Exit status 3.
function M.file_faults(faults, hint)
  local details = {}
  for i, f in ipairs(faults) do details[i] = { field = M.place(f), message = f.message } end
  local first = faults[1]
  local message = #faults == 1 and ("%s: %s"):format(M.place(first), first.message)
    or ("%s: %d errors"):format(first.file, #faults)
  errors.raise {
    code = "invalid", message = message, details = #faults > 1 and details or nil, hint = hint, where = M.place(first),
  }
end

-- "moongate.lua:3: gateway.regoin"
function M.place(f)
  local place = f.file or "?"
  if f.line then place = place .. ":" .. f.line end
  if f.column then place = place .. ":" .. f.column end
  if f.path and f.path ~= "" then place = place .. ": " .. f.path end
  return place
end

return M
