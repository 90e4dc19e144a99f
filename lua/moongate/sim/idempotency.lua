-- idempotency: Idempotency-Key on writes (an extension: the sources do not promise it). A key with the same request
-- again gets the first answer once that took effect; with another request a 422; while the first is under way a 409.
-- Answers that are errors are not kept.
local errors = require "moongate.sim.errors"
local hash = require "moongate.hash"
local merged = require "moongate.merged"

local M = {}
M.__index = M

local kept = 10000 -- keys; the oldest go first

function M.new()
  return setmetatable({ entries = {}, order = {}, first = 1 }, M)
end

local function forget_oldest(self)
  if #self.order - self.first + 1 <= kept then return end
  self.entries[self.order[self.first]] = nil
  self.order[self.first] = false
  self.first = self.first + 1
end

-- -> response to give instead of acting | nil, finish(response) to call with what acting answered | nil
function M:begin(call)
  local key = call.req.headers["idempotency-key"]
  if not key or call.req.method == "GET" or call.req.method == "HEAD" then return nil end
  local print = hash.sha256(call.req.method .. " " .. call.req.target .. "\n" .. call.req.body)
  local entry = self.entries[key]
  if entry and entry.print ~= print then
    return errors.response(call, 422, "idempotency.key.reused", "This Idempotency-Key was used for another request.")
  elseif entry and not entry.response then
    return errors.response(call, 409, "idempotency.in.progress", "A request with this Idempotency-Key is under way.")
  elseif entry then
    local again = merged(entry.response)
    again.headers = { ["Idempotency-Replayed"] = "true" }
    for name, value in pairs(entry.response.headers or {}) do again.headers[name] = value end
    return again
  end
  entry = { print = print }
  self.entries[key] = entry
  return nil, function(response)
    if response and (response.status or 200) < 300 then
      entry.response = response
      self.order[#self.order + 1] = key
      forget_oldest(self)
    else
      self.entries[key] = nil
    end
  end
end

return M
