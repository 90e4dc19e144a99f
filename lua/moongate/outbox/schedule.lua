-- schedule.lua - when a message that was not delivered is tried again: Standard Webhooks' schedule, as its
-- specification recommends it ("Deliverability and reliability"). The run's own attempts are the first of it.

local backoff = require "moongate.backoff"

local M = {}

-- Seconds after the try before. With the run's own that is ten tries in a good three days.
local WAITS = { 5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600 }

local LOW, HIGH = 0.9, 1.1 -- of a wait: what failed together does not come back together
local FLOOR_MAX = 86400   -- seconds: the longest that a receiver's Retry-After can ask for
local NOT_TRIED = 5       -- seconds until another look at what could not be tried

M.ELSEWHERE = 60 -- seconds until another look at what can't go out from here

M.TRIES = #WAITS + 1

-- tries: how many there were, this one included. random: 0 to 1. retry_after: seconds that the receiver asked for.
-- -> seconds until the next try, or nil: that was the last.
function M.wait(tries, random, retry_after)
  local wait = WAITS[tries]
  if not wait then return nil end
  return backoff.wait({ base = wait, cap = wait, low = LOW, high = HIGH, floor_max = FLOOR_MAX }, 1, {
    floor = retry_after, random = function() return random end,
  })
end

-- Nothing was sent, because the receiver is being left alone.
function M.postponed(retry_after)
  return math.max(NOT_TRIED, math.min(tonumber(retry_after) or 0, FLOOR_MAX))
end

return M
