-- rate_limit: so many requests a minute a token, in fixed windows that begin with a token's first request.
local time = require "moongate.time"

local M = {}
M.__index = M

local window = 60 -- seconds

-- allowed: requests a window; 0: no limit
function M.new(allowed)
  return setmetatable({ allowed = allowed, windows = setmetatable({}, { __mode = "k" }) }, M)
end

-- Counts one request of token (a table) -> headers, whether it is one too many, seconds until the window ends.
function M:count(token)
  if self.allowed == 0 then return {}, false, 0 end
  local now = time.monotonic()
  local w = self.windows[token]
  if not w or now >= w.ends then
    w = { ends = now + window, count = 0 }
    self.windows[token] = w
  end
  w.count = w.count + 1
  local reset = math.max(1, math.ceil(w.ends - now))
  return {
    ["inin-ratelimit-count"] = tostring(math.min(w.count, self.allowed)),
    ["inin-ratelimit-allowed"] = tostring(self.allowed),
    ["inin-ratelimit-reset"] = tostring(reset),
  }, w.count > self.allowed, reset
end

return M
