-- output.lua - results on their way out: in the order of the prompts or as they come, gathered into pieces, written
-- without holding anybody up, in bounded memory. For router/stream.lua only.

local host = require "moongate.host"
local scope = require "moongate.scope"
local task = require "moongate.task"

local M = {}

local PIECE = 65536     -- bytes that are written at once
local EVERY = 0.1       -- seconds that a result waits at the most
local WINDOW_LEAST, WINDOW_MOST, WINDOW_EACH = 1024, 16384, 32

local Output = {}
Output.__index = Output

-- M.new{write = function(text) -> true | nil, err; ordered, concurrency, separator, ending, first}. Results are joined
-- by the separator; with an ending each is followed by it instead. first: the number of the first one (1). The field
-- out counts those that have been written in order.
function M.new(opts)
  local window = math.min(WINDOW_MOST, math.max(WINDOW_LEAST, WINDOW_EACH * opts.concurrency))
  return setmetatable({
    write = opts.write, separator = opts.separator, ending = opts.ending, ordered = opts.ordered,
    parts = {}, count = 0, bytes = 0, written = 0, out = 0,
    early = {}, next = opts.first or 1, places = opts.ordered and task.semaphore(window) or nil,
    lock = task.semaphore(1),
  }, Output)
end

-- Waits until there is a place in the window: before a prompt is taken, in its order.
function Output:reserve()
  if self.places then self.places:acquire() end
end

function Output:_flush()
  self.lock:acquire()
  local _ <close> = setmetatable({}, { __close = function() self.lock:release() end })
  local parts, n = self.parts, self.count
  if self.failure then error(self.failure, 0) end -- nothing may follow a gap
  if n == 0 then return end
  self.parts, self.count, self.bytes = {}, 0, 0
  local text
  if self.ending then
    parts[n + 1] = ""
    text = table.concat(parts, self.ending, 1, n + 1)
  else
    text = table.concat(parts, self.separator, 1, n)
    if self.written > 0 then text = self.separator .. text end
  end
  self.written = self.written + n
  local shield = scope.shield(1) -- a line that was begun is ended
  local ok, err = self.write(host.visible(text))
  if ok and not self.rest then self.out = self.out + n end
  if not ok then self.failure = err end
  scope.shield(shield)
  if not ok then error(err, 0) end
end

local function append(self, text)
  local n = self.count + 1
  self.parts[n], self.count, self.bytes = text, n, self.bytes + #text
end

-- The result of the nth prompt.
function Output:put(n, text)
  if not self.ordered then
    append(self, text)
  elseif n ~= self.next then
    self.early[n] = text
    return
  else
    local early, places = self.early, self.places
    repeat
      append(self, text)
      places:release()
      n = n + 1
      text = early[n]
      early[n] = nil
    until not text
    self.next = n
  end
  if self.bytes >= PIECE then self:_flush() end
end

-- A task of its own: nobody has to wait long for what is there.
function Output:pump(also)
  while true do
    task.sleep(EVERY)
    self:_flush()
    also()
  end
end

-- Everything that is there goes out; in order up to the first that is missing, and then the others.
function Output:finish()
  local left = {}
  for n in pairs(self.early) do left[#left + 1] = n end
  table.sort(left)
  if #left > 0 then
    self:_flush()
    self.rest = true
  end
  for _, n in ipairs(left) do append(self, self.early[n]) end
  self.early = {}
  self:_flush()
end

return M
