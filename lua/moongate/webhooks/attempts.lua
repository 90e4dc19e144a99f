-- attempts.lua - brings one message to its receiver: attempt after attempt, each with its own time and signature,
-- within one deadline. The HTTP client's own retries are off: it would send the first attempt's signature again, and
-- a receiver refuses a message that is minutes old.

local answer = require "moongate.gateway.answer"
local backoff = require "moongate.backoff"
local errors = require "moongate.error"
local hash = require "moongate.hash"
local host = require "moongate.host"
local profile = require "moongate.webhooks.profile"

local M = {}

-- Short: somebody waits for the run. What stays undelivered is the caller's to keep.
local ATTEMPTS = 5         -- at most
local POLICY = { base = 0.5, cap = 5, low = 0, high = 1 }
local ONE_ATTEMPT = 10     -- seconds that one may take
local MAX_ANSWER = 1 << 20 -- bytes; nobody reads them

M.DEADLINE = 20 -- seconds for all attempts
M.CONNECT = 2   -- seconds to connect for a message of a run: it is kept, and a host that drops packets holds up no work

local AWAY = 30 -- seconds that such a host is left alone by the run

-- Failures without an answer that another attempt may mend.
local PASSING = { connect = true, network = true, timeout = true, unknown_outcome = true }

-- 2xx is delivered; of the rest, these may be otherwise the next time.
local function may_pass(err)
  local status = err.status
  if err.hopeless then return false end
  if not status then return PASSING[err.code] == true end
  return status >= 500 or status == 408 or status == 409 or status == 425 or status == 429
end

-- Scheme and host: a URL's path is a secret with some receivers.
function M.origin(url)
  local scheme, authority = url:match "^(%a+)://([^/?#]*)"
  return scheme and ("%s://%s"):format(scheme:lower(), (authority:gsub("^.*@", ""))) or "the URL"
end

local function redirected(response)
  return errors.new {
    code = "http", status = response.status, outcome = "final",
    message = answer.redirected(response), hint = "Give the final URL.",
  }
end

local HINTS = {
  [401] = "does the receiver have the same secret?", [403] = "does the receiver have the same secret?",
  [410] = "the receiver wants no more: take the webhook out of the project file, or give its new URL",
}

-- The receiver's own headers, and the type of the body unless they say it.
local function add_headers(headers, more)
  local typed = false
  for name, value in pairs(more) do
    headers[name] = value
    typed = typed or name:lower() == "content-type"
  end
  if not typed then headers["Content-Type"] = "application/json" end
end

-- A message in the clear can be read, and with a short key forged, by anybody on the way.
local function plain(message)
  if not host.plain_http(message.url) then return nil end
  local origin = M.origin(message.url)
  return errors.new {
    code = "denied", outcome = "not_sent", message = origin .. ": plain HTTP to another machine is not allowed",
    hint = ("Use https://, or --allow-http=%s for a network that you trust"):format(origin:match "//(.*)$"),
  }
end

-- One request -> status | nil, err
local function attempt(client, message, headers, deadline)
  local refused = plain(message)
  if refused then return nil, refused end
  local response, err = client:request {
    method = "POST", url = message.url, headers = headers, body = message.body, deadline = deadline,
    max_body = MAX_ANSWER, family = "webhook " .. hash.sha256(message.url):sub(1, 16),
  }
  if response and response.status >= 200 and response.status <= 299 then return response.status end
  err = err or redirected(response)
  if err.status and err.status >= 200 and err.status <= 299 then return err.status end -- its body is of no interest
  return nil, err
end

-- What an attempt failed of, and where. What the client says of its one attempt, and of why it makes no other, is not
-- of interest.
local function said(message, err)
  local text = err.message:gsub("; gave up after 1 attempt$", ""):gsub("; not retried: [^;]*$", "")
  text = answer.reason { message = text, details = err.details }
  local origin = M.origin(message.url)
  if err.status and not text:find("^answered") then text = ("answered %d: %s"):format(err.status, text) end
  return text:find(origin, 1, true) and text or origin .. ": " .. text
end

-- Requests that were made: a receiver that is being left alone gets none.
local function sent(tries)
  local n = 0
  for _, try in ipairs(tries) do n = n + (try.error == "breaker_open" and 0 or 1) end
  return n
end

-- The error of the whole delivery: the last attempt's, with why there is no further one.
local function failure(message, err, tries, why)
  return errors.new {
    code = err.code, status = err.status, gateway_code = err.gateway_code, outcome = err.outcome,
    message = said(message, err) .. (why and "; " .. why or ""),
    hint = not (err.hint or ""):find "proxy" and HINTS[err.status] or err.hint,
    attempts = sent(tries), attempt_list = tries, id = message.id,
    retry_after = err.retry_after,
  }
end

-- The wait before the next attempt, or nil and why there is none.
local function pause(err, n, message, left, clock)
  if not may_pass(err) or message.attempts == 1 then return nil end
  if n == (message.attempts or ATTEMPTS) then return nil, ("gave up after %d attempts"):format(n) end
  local floor = tonumber(err.retry_after) or 0
  if left <= 0 then return nil, ("gave up after %d attempt%s, at the deadline"):format(n, n == 1 and "" or "s") end
  if floor > 0 and floor >= left then
    return nil, ("it asks to come back in %d s, the deadline leaves %d s"):format(math.ceil(floor), left // 1)
  end
  local wait = backoff.wait(POLICY, n, { floor = floor, left = left, random = clock.random })
  if not wait then return nil, "the deadline leaves no time for another attempt" end
  if message.ours_until and clock.now() + wait + ONE_ATTEMPT > message.ours_until then
    return nil, "the lease expired while it was sent" -- the machine slept: it may be another process's by now
  end
  return wait
end

-- A receiver that did not let us connect in time: who waits for the run does not wait for it again.
local function left_alone(message, tools, now)
  local until_then = message.kept and tools.away[M.origin(message.url)]
  if not until_then or now >= until_then then return nil end
  return failure(message, errors.new {
    code = "breaker_open", outcome = "not_sent",
    message = ("no connection a moment ago; it is left alone for another %d s"):format(math.ceil(until_then - now)),
  }, { { n = 1, error = "breaker_open", wait_ms = 0, elapsed_ms = 0 } })
end

-- message: {url, body, id, profile, secret, headers, deadline, attempts = 5, ours_until = wall time, kept = it is
-- tried again later}. tools: client and quick (for kept ones), both with retries off; clock {now, monotonic, sleep,
-- random}; away {origin = monotonic time}. -> {id, status, attempts, attempt_list} | nil, err
function M.deliver(message, tools)
  local client, clock = message.kept and tools.quick or tools.client, tools.clock
  local alone = left_alone(message, tools, clock.monotonic())
  if alone then return nil, alone end
  local due, tries, wait = clock.monotonic() + (message.deadline or M.DEADLINE), {}, 0
  while true do
    local headers, err = profile.headers(message.profile, message.secret, message.id,
      math.tointeger(clock.now() // 1), message.body)
    if not headers then return nil, failure(message, err, tries) end
    add_headers(headers, message.headers or {})
    local started = clock.monotonic()
    local status
    status, err = attempt(client, message, headers, math.max(0.001, math.min(ONE_ATTEMPT, due - started)))
    tries[#tries + 1] = {
      n = #tries + 1, status = status or err.status, error = err and err.code or nil, wait_ms = wait * 1000,
      elapsed_ms = (clock.monotonic() - started) * 1000,
    }
    if status then return { id = message.id, status = status, attempts = #tries, attempt_list = tries } end
    if message.kept and err.code == "connect" and clock.monotonic() - started >= M.CONNECT * 0.9 then
      tools.away[M.origin(message.url)] = clock.monotonic() + AWAY
      return nil, failure(message, err, tries)
    end
    local why
    wait, why = pause(err, #tries, message, due - clock.monotonic(), clock)
    if not wait then return nil, failure(message, err, tries, why) end
    clock.sleep(wait)
  end
end

return M
