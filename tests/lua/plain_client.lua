-- plain_client.lua - an HTTP client for tests of servers: one attempt, no breaker, every status is an answer.
local http = require "moongate.http"

local M = {}

local any_status = {}
for status = 400, 599 do any_status[#any_status + 1] = status end

-- new(url) -> call(method, path [, options]) -> response | nil, err
function M.new(url)
  local client = http.client { retry = false, breaker = false, deadline = 10 }
  return function(method, path, opts)
    local request = { method = method, url = url .. path, ok_status = any_status }
    for name, value in pairs(opts or {}) do request[name] = value end
    return client:request(request)
  end
end

return M
