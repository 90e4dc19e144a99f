-- input.lua - where the lines of a prompt come from: the line editor on a terminal, plain lines elsewhere.
--   input:read(prompt) -> line | nil: the end | false: Ctrl-C
local fs = require "moongate.fs"
local host = require "moongate.host"
local task = require "moongate.task"

local M = {}

-- ---- plain lines ----

local Plain = {}
Plain.__index = Plain

function Plain:next()
  if self.at > #self.batch then
    local batch, err = self.lines:read()
    if not batch then
      if err then error(err, 0) end
      return nil
    end
    self.batch, self.at = batch, 1
  end
  self.at = self.at + 1
  return self.batch[self.at - 1] or error("a line is longer than 1 MiB", 0)
end

function Plain:read(prompt)
  if not self.terminal then return self:next() end
  host.write_err(prompt)
  local reader = task.spawn(function() return self:next() end)
  host.foreground(reader)
  local line, err = reader:join()
  host.foreground(nil)
  if reader:status() == "done" then
    if line == nil then host.write_err "\n" end
    return line
  end
  if reader:status() == "failed" then error(err, 0) end
  self.lines:close()
  self.lines = assert(fs.lines "-") -- the one that was waited on has been cut short
  host.write_err "\n"
  return false
end

function Plain:close() self.lines:close() end
function Plain.add() end

local function plain(terminal)
  return setmetatable({ lines = assert(fs.lines "-"), batch = {}, at = 1, terminal = terminal }, Plain)
end

function M.open(_, interactive)
  return plain(interactive)
end

return M
