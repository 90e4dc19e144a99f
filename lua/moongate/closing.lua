-- closing.lua - what is to be done when the command has ended, in whatever way it did: leases given back, state kept.
-- For trusted code only.

local log = require "moongate.log"

local M = {}

local waiting = {}

-- closing.add(name, fn): fn() when the command's task has ended, the newest first. It may wait, but not for long: the
-- user is looking at the prompt.
function M.add(name, fn)
  waiting[#waiting + 1] = { name = name, fn = fn }
end

-- One that fails is logged: the command's result stands.
function M.run()
  while #waiting > 0 do
    local last = table.remove(waiting)
    local ok, err = pcall(last.fn)
    if not ok then log.warn("%s: %s", last.name, tostring(err)) end
  end
end

return M
