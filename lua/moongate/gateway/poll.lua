-- poll.lua - looks at a path until a member of the answer says that it is over. For gateway.lua only.

local answer = require "moongate.gateway.answer"
local argument = require "moongate.argument"
local backoff = require "moongate.backoff"
local errors = require "moongate.error"
local http = require "moongate.http"
local journal = require "moongate.journal"
local json = require "moongate.json"
local kinds = require "moongate.gateway.kinds"

local M = {}

local LAST_LOOK = 0.2 -- seconds that a look at the end may take

local OPTIONS = {
  field = true, done = true, failed = true, running = true, deadline = true, interval = true, max_interval = true,
  params = true, query = true, family = true, watch = true,
}

local function set_of(list)
  local set = {}
  for _, v in ipairs(list or {}) do set[v] = true end
  return set
end

-- The reason in a state that is a failure; what names the state and the job itself is none.
local function why(body, field)
  local rest = {}
  for name, value in pairs(answer.object(body)) do
    if name ~= field and name ~= "id" then rest[name] = value end
  end
  if next(rest) == nil then return {} end
  local text = json.encode(rest, { lenient = true })
  return text and http.reason(text) or {}
end

-- M.run(gw, path, opts): see gateway.lua.
function M.run(gw, path, opts)
  opts = argument.options("gateway:poll", opts, OPTIONS)
  local done, failed, running = set_of(opts.done), set_of(opts.failed), set_of(opts.running)
  local field, clock = opts.field or "status", gw.clock
  local place = kinds.locate({ title = "poll" }, path, opts.params).path -- as it is told
  local limit = opts.deadline or 120
  local deadline = clock.monotonic() + limit
  local policy = { base = opts.interval or 0.25, cap = opts.max_interval or 3, low = 1, high = 1 }
  local looks, warned, state, trouble = 0, {}, nil, nil
  local function too_late()
    errors.raise {
      code = "timeout", method = "GET", path = place,
      message = ("still %s after %g s"):format(tostring(state or "not known"), limit)
        .. (trouble and "; the last look failed: " .. trouble.message or ""),
    }
  end
  while true do
    local left = deadline - clock.monotonic()
    if left <= 0 then too_late() end
    local response, err = gw:_call {
      method = "GET", path = path, params = opts.params, query = opts.query, family = opts.family or "other",
      deadline = math.min(left, gw.deadline),
    }
    looks = looks + 1
    if response then
      local read, body = pcall(answer.decoded, response, "GET", place)
      trouble = not read and body or nil -- HTML of a proxy, an empty answer: it may be better the next time
      local told = read and answer.object(body)[field]
      if read then state = told ~= json.null and told or nil end
      if opts.watch then opts.watch(state) end
      if read and state ~= nil and done[state] then return body end
      if read and state ~= nil and failed[state] then
        local reason = why(body, field)
        errors.raise {
          code = "failed", method = "GET", path = place, correlation_id = response.correlation_id,
          message = ("%s is %s%s"):format(field, tostring(state), reason.message and ": " .. reason.message or ""),
          details = reason.details, reason = reason.message,
        }
      end
      if state ~= nil and opts.running and not running[state] and not warned[state] then
        warned[state] = true
        gw.log.warn("%s: %s %s is not known; taken as still running", place, field, tostring(state))
      end
    elseif err.status == 429 or (err.status or 0) >= 500 then -- looking again changes nothing, so it may be tried
      trouble = err
    else
      error(err, 0)
    end
    local rest, pause = deadline - clock.monotonic(), backoff.wait(policy, looks, { floor = err and err.retry_after })
    if rest <= LAST_LOOK or (err and tonumber(err.retry_after) or 0) >= rest then too_late() end
    if pause >= rest then pause = rest - LAST_LOOK / 2 end -- a last look, right before the time is over
    journal.pause(clock.sleep, pause)
  end
end

return M
