-- progress.lua - how far long work is, on standard error: on a terminal one line, rewritten, with count, rate and
-- time left; elsewhere a plain line now and then. Nothing for work that is over before anybody would ask, and
-- nothing with --quiet.
local host = require "moongate.host"
local text = require "moongate.text"
local time = require "moongate.time"

local M = {}

local FIRST = 0.5         -- seconds before the first word
local TERMINAL_EVERY = 0.1
local PLAIN_EVERY = 5

local Bar = {}
Bar.__index = Bar

-- total: how many there will be, or nil; label: what they are ("indexes"). clock, tty and say are for tests.
function M.new(ctx, total, label, opts)
  opts = opts or {}
  local tty = opts.tty
  if tty == nil then tty = host.isatty(2) end
  local clock = opts.clock or time.monotonic
  return setmetatable({
    silent = ctx.opts.quiet, tty = tty, clock = clock, begun = clock(), shown_at = nil,
    width = (host.width(2) or 80) - 1, finished = 0, total = total, label = label or "done",
    say = opts.say or (tty and host.progress) or function(line) host.write_err(line .. "\n") end,
  }, Bar)
end

-- "12/40 indexes, 3.1/s, 9 s left, orders-eu"
function Bar:line(now)
  local elapsed = now - self.begun
  local rate = elapsed > 0 and self.finished / elapsed or 0
  local parts = { self.total and ("%d/%d %s"):format(self.finished, self.total, self.label)
    or ("%d %s"):format(self.finished, self.label) }
  if rate > 0 then
    parts[#parts + 1] = ("%.1f/s"):format(rate)
    if self.total and self.total > self.finished then
      parts[#parts + 1] = text.seconds((self.total - self.finished) / rate) .. " left"
    end
  end
  if self.what then parts[#parts + 1] = self.what end
  return table.concat(parts, ", ")
end

-- n more (default 1) are done; what: the one just done.
function Bar:advance(n, what)
  self.finished, self.what = self.finished + (n or 1), what
  if n ~= 0 then self.paused = false end
  self:_show(false)
end

-- Nothing goes on just now, and why: shown at once when it starts.
function Bar:pause(what)
  local new = not self.paused
  self.what, self.paused = what, true
  self:_show(new)
end

function Bar:_show(at_once)
  if self.silent then return end
  local now = self.clock()
  local last = self.shown_at
  local wait = at_once and 0 or last and (self.tty and TERMINAL_EVERY or PLAIN_EVERY) or FIRST
  if now - (last or self.begun) < wait then return end
  self.shown_at = now
  local line = self:line(now)
  line = host.visible(line, true)
  self.say(self.tty and text.cut(line, self.width) or line)
end

-- Takes the line away.
function Bar:done()
  if self.tty and self.shown_at and not self.silent then self.say(nil) end
  self.shown_at = nil
end

return M
