-- input.lua - where the lines of a prompt come from: the line editor on a terminal, plain lines elsewhere.
--   input:read(prompt) -> line | nil: the end | false: Ctrl-C
--   input:add(text): to the history; input:serve(session): completes for it; input:close()
local fs = require("moongate.host").fs -- what the user names at the prompt, not a script
local host = require "moongate.host"
local task = require "moongate.task"

local M = {}

-- Runs fn(...) so that Ctrl-C ends it -> true, its result | false: it did
local function interruptible(fn, ...)
  local reader = task.spawn(fn, ...)
  host.foreground(reader)
  local line, err = reader:join()
  host.foreground(nil)
  if reader:status() == "failed" then error(err, 0) end
  return reader:status() == "done", line
end

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
  local whole, line = interruptible(self.next, self)
  if whole and line then return line end
  host.write_err "\n"
  if whole then return nil end
  self.lines:close() -- the one that was waited on has been cut short
  self.lines = assert(fs.lines "-")
  return false
end

function Plain.add() end
function Plain.serve() end
function Plain:close() self.lines:close() end

-- ---- the line editor ----

local Edited = {}
Edited.__index = Edited

function Edited:read(prompt)
  local whole, line = interruptible(self.editor.read, self.editor, prompt)
  if not whole then self.editor:interrupt() end
  return whole and line
end

function Edited:add(text)
  for _, line in ipairs(self.history:add(text)) do self.editor:add(line) end
end

-- Answers the Tab key, in a task of its own.
function Edited:serve(session)
  local complete = require "moongate.repl.complete"
  task.spawn(function()
    while true do
      local text, cursor = self.editor:wanted()
      if text then
        local ok, erase, insert, list = pcall(complete.offer, session, text, cursor, host.width(1) or 80)
        if ok then self.editor:offer(erase, insert, list) else self.editor:offer(0, "", "") end
      end
    end
  end)
end

function Edited:close() self.editor:close() end

-- ---- opening ----

-- M.open(interactive) -> input
function M.open(interactive)
  local editor = interactive and host.editor()
  if not editor then
    return setmetatable({ lines = assert(fs.lines "-"), batch = {}, at = 1, terminal = interactive }, Plain)
  end
  local history = require("moongate.repl.history").open(host.getenv "MOONGATE_HISTORY", host.state().dir)
  for _, line in ipairs(history.lines) do editor:add(line) end
  return setmetatable({ editor = editor, history = history }, Edited)
end

return M
