-- backoff.lua - how long to wait before the next try: twice as long each time, up to a cap, part of it by chance. The
-- HTTP client has the same rule in C: moon_retry_backoff_ns in src/core/retry.c.
--
-- A policy: {base, cap = seconds, low, high = the range of factors that chance picks from}. 0 and 1 is full jitter,
-- 1 and 1 none.

local M = {}

-- backoff.wait(policy, n [, {floor = seconds that the other side asked for (at most policy.floor_max), left = seconds
-- until the deadline, random = function}]) -> seconds until the try after the nth; nil: the deadline is before that
function M.wait(policy, n, opts)
  opts = opts or {}
  local top = math.min(policy.cap, policy.base * 2 ^ math.min(n - 1, 30))
  local wait = top * (policy.low + (policy.high - policy.low) * (opts.random or math.random)())
  wait = math.max(wait, math.min(tonumber(opts.floor) or 0, policy.floor_max or math.huge))
  if opts.left and wait >= opts.left then return nil end
  return wait
end

return M
