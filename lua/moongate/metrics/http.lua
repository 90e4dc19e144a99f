-- http.lua - what an HTTP client counts by itself (client:stats()), as metrics. For metrics.lua only.

local M = {}

-- M.collector(name, client) -> function for registry:on_collect. Several clients may have one name.
function M.collector(name, client)
  local seen = {}
  local function more(key, now)
    local n = now - (seen[key] or 0)
    seen[key] = now
    return n
  end
  return function(registry)
    local attempts = registry:counter("moongate_http_attempts_total",
      "HTTP requests sent, tries again included, by the class of the answer's status; none: no answer came.",
      { "client", "method", "status" })
    local seconds = registry:counter("moongate_http_attempt_seconds_total",
      "Time that HTTP requests took, waits between tries not included.", { "client", "method" })
    local retries = registry:counter("moongate_http_retries_total",
      "HTTP requests that were not the first try of their call.", { "client" })
    local open, stats = pcall(client.stats, client)
    if not open then return end
    for method, answers in pairs(stats.attempts) do
      for class, count in pairs(answers) do attempts:add(more(method .. class, count), name, method, class) end
      seconds:add(more(method, stats.seconds[method]), name, method)
    end
    retries:add(more("retries", stats.retries), name)
    if stats.limit then
      registry:gauge("moongate_http_rate_limit_remaining", "Requests left by the server's rate limit, as it said last.",
        { "client" }):set(stats.limit.left, name)
    end
  end
end

return M
