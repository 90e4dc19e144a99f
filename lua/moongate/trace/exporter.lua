-- exporter.lua - takes spans that have ended, and posts them to the collector in batches, by a task of its own. What
-- does not fit into the queue is lost and counted; a collector that is down or slow costs a warning and, at the end of
-- the run, at most the timeout. For trace.lua only.

local http = require "moongate.http"
local native = require "moongate.span"
local otlp = require "moongate.trace.otlp"
local plain = require "moongate.plain"
local task = require "moongate.task"
local time = require "moongate.time"

local M = {}

local EVERY = 1 -- seconds between two exports, unless a batch is full before

local Exporter = {}
Exporter.__index = Exporter

-- M.new(settings of trace/environment.lua, and content, version, log) -> exporter; its task is the caller's child.
function M.new(settings)
  local self = setmetatable({
    settings = settings, content = settings.content, log = settings.log, spans = {}, lost = 0, failed = 0,
    rejected = 0, sending = 0, full = task.semaphore(1), headers = { ["content-type"] = "application/json" },
  }, Exporter)
  assert(self.full:acquire())
  if settings.headers then
    for name, value in pairs(native.headers(settings.headers)) do self.headers[name] = value end
  end
  local client, err = http.client { trace = false, breaker = false, retry = { max = 3, base_ms = 100, cap_ms = 500 } }
  self.client, self.broken = client, err
  self.task = task.spawn(function()
    while not self.due do
      self.full:acquire(EVERY)
      self.woken = false
      self:export()
    end
  end)
  return self
end

local function room(self)
  return self.settings.queue - #self.spans
end

-- A span has ended.
function Exporter:add(span)
  if room(self) <= 0 then
    self.lost = self.lost + 1
    return
  end
  self.spans[#self.spans + 1] = span
  if #self.spans + native.waiting() >= self.settings.batch then self:wake() end
end

function Exporter:wake()
  if self.woken then return end
  self.woken = true
  self.full:release()
end

-- The next spans to send, as JSON's data.
local function next_batch(self)
  local max, batch = self.settings.batch, {}
  local n = math.min(max, #self.spans)
  for i = 1, n do batch[i] = otlp.span(self.settings, self.spans[i]) end
  table.move(self.spans, n + 1, #self.spans + n, 1) -- what is behind the end is nil
  local attempts, lost = native.attempts(max - n)
  for _, attempt in ipairs(attempts) do batch[#batch + 1] = otlp.span(self.settings, otlp.attempt(attempt)) end
  self.lost_attempts = lost
  return batch
end

-- One request -> true, how many of its spans were rejected, the collector's words | nil, why
local function post(self, batch, deadline)
  if not self.client then return nil, tostring(self.broken) end
  local body, err = plain.encode(otlp.request(self.settings, batch))
  if not body then return nil, err.message end
  local response
  response, err = self.client:request {
    method = "POST", url = self.settings.endpoint, body = native.clean(body), headers = self.headers,
    idempotent = true, deadline = deadline,
  }
  if not response then return nil, err.message end
  if response.status >= 300 then return nil, ("answered %d"):format(response.status) end
  local answer = response.body ~= "" and response:json() or nil
  local partial = type(answer) == "table" and answer.partialSuccess
  local rejected = type(partial) == "table" and tonumber(partial.rejectedSpans) or 0
  local message = type(partial) == "table" and partial.errorMessage
  return true, math.min(#batch, math.max(0, rejected)), type(message) == "string" and message ~= "" and message or nil
end

-- Those that the collector took the others without. Told once, as below.
local function rejected(self, count, why)
  self.rejected = self.rejected + count
  if self.rejected_told then return end
  self.rejected_told = count
  self.log.warn("traces: the collector rejected %d span%s%s", count, count == 1 and "" or "s",
    why and ": " .. why or "")
end

-- Told once, for a collector that is down is down for every batch; the sum is told at the end.
local function give_up(self, count, why)
  self.failed = self.failed + count
  if self.told then return end
  self.told = count
  self.log.warn("traces: %d spans could not be sent to %s: %s", count, (self.settings.endpoint:gsub("%?.*", "")), why)
end

-- Sends all there is, one batch after the other; a failure leaves the rest for the next time.
function Exporter:export()
  repeat
    local batch = next_batch(self)
    if #batch == 0 then return end
    local left = self.due and self.due - time.monotonic() or self.settings.timeout
    local ok, why, words = nil, "it did not take them in time", nil
    self.sending = #batch
    if left > 0 then ok, why, words = post(self, batch, left) end
    self.sending = 0
    if not ok then
      give_up(self, #batch, why)
    elseif why > 0 then
      rejected(self, why, words)
    end
  until not ok
end

-- The end of the run: what is under way and what is left goes out, within the timeout.
function Exporter:shutdown()
  self.due = time.monotonic() + self.settings.timeout
  self:wake()
  if not self.task:join(self.settings.timeout) and self.sending > 0 then
    give_up(self, self.sending, "it did not take them in time")
  end
  self.task:cancel()
  self:export()
  if self.failed > (self.told or 0) then
    self.log.warn("traces: %d spans in all could not be sent", self.failed)
  end
  if self.rejected > (self.rejected_told or 0) then
    self.log.warn("traces: the collector rejected %d spans in all", self.rejected)
  end
  local lost = self.lost + (self.lost_attempts or 0)
  if lost > 0 then self.log.warn("traces: %d spans were lost: they came faster than the collector takes them", lost) end
end

return M
