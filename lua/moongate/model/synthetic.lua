-- synthetic.lua - the synthetic test of a model: a prompt to its endpoint in the manner of OpenAI's API, whose answer
-- is known beforehand. Reached through moongate.model (model.test).
--
-- The endpoint is none of the gateway's: the gateway's credential never goes there, and the endpoint's own token goes
-- to its origin only.

local answer = require "moongate.gateway.answer"
local argument = require "moongate.argument"
local auth = require "moongate.auth"
local http = require "moongate.http"
local json = require "moongate.json"
local reply = require "moongate.router.reply"
local rounded = require "moongate.rounded"
local time = require "moongate.time"

local M = {}

M.EXPECTED = "VALIDATION_SUCCESS"

local PATH = "/v1/chat/completions"
local MAX_BODY = 1 << 20
local DEADLINE = 30 -- seconds for one sample

-- Answers that are read rather than tried again or raised: an endpoint's own words are in them.
local READ = { 400, 401, 402, 403, 404, 405, 409, 410, 413, 415, 422, 500, 501 }

-- M.origin(url) -> "https://host" or "https://host:port", the scheme's own port left out.
function M.origin(url)
  local scheme, authority = url:lower():match("^(%a[%w+.-]*)://([^/?#]*)")
  if not scheme then return nil end
  authority = authority:gsub(scheme == "https" and ":443$" or scheme == "http" and ":80$" or "^$", "")
  return scheme .. "://" .. authority
end

-- ---- one sample ----

local SHORT = 10 -- tokens for a reply of two words

local function body_for(opts)
  return {
    model = opts.model, temperature = 0, max_tokens = SHORT,
    messages = json.array { { role = "user", content = "Respond with exactly: " .. opts.expect } },
  }
end

-- Reasoning models think for more tokens than the reply has.
local ROOM = 2048

-- Takes out of the body what the endpoint has refused, in place -> what was changed, or nil. said: the answer's body
local function adjust(body, said)
  if body.max_tokens and said:find("max_tokens", 1, true) then
    body.max_tokens, body.max_completion_tokens = nil, ROOM
    return "max_completion_tokens"
  elseif body.temperature and said:find("temperature", 1, true) then
    body.temperature = nil
    return "no temperature"
  end
end

local function excerpt(text)
  local line = text:gsub("%s+", " ")
  local stop = utf8.len(line) and utf8.offset(line, 61)
  return ('"%s"'):format(stop and line:sub(1, stop - 1) .. "…" or line)
end

local HINTS = {
  [401] = " (its token is the environment's EXTERNAL_AI_TOKEN)",
  [403] = " (its token is the environment's EXTERNAL_AI_TOKEN)",
  [404] = " (the endpoint is without /v1; --test-model says what it calls the model)",
}

-- The endpoint's own words for a refusal.
local function refusal(response)
  if response.status < 400 then return answer.redirected(response) end
  local reason = http.reason(response.body, response.headers["content-type"])
  local said = answer.reason { message = reason.message or "", details = reason.details }
  return ("answered %d%s%s"):format(response.status, said ~= "" and ": " .. said or "", HINTS[response.status] or "")
end

-- What is wrong with an answer, or nil; and whether it was cut off before the reply was complete.
local function answer_fault(response, expect)
  if response.status < 200 or response.status > 299 then return refusal(response) end
  local body = response.body ~= "" and response:json() or nil
  if body == nil then return "the answer is not JSON" end
  local said = reply.text(body)
  local choice = type(body) == "table" and type(body.choices) == "table" and body.choices[1]
  local cut = type(choice) == "table" and choice.finish_reason == "length"
  if not said then return "the response has no choices[0].message.content", cut end
  if not said:find(expect, 1, true) then
    return ("the reply %s does not contain %s"):format(excerpt(said), expect), cut
  end
end

-- The time of the last try: the waits before it are not the endpoint's.
local function latency_of(attempts, elapsed)
  local last = attempts and attempts[#attempts]
  local ms = last and last.elapsed_ms or elapsed * 1000
  return rounded.tenths(ms)
end

local function failed(err, elapsed)
  local said = err.message:gsub("; not retried: [^;]*$", ""):gsub("; gave up after 1 attempt$", "")
  if err.status and not said:find "^answered" then said = ("answered %d: %s"):format(err.status, said) end
  return {
    latency_ms = latency_of(err.attempt_list, elapsed), response_code = err.status,
    payload_size_bytes = err.body and #err.body or 0, fault = said, silent = err.status == nil,
  }
end

-- One sample -> {latency_ms, response_code, payload_size_bytes, fault}. Each is set whatever happens, but what there
-- is no answer for. A request that the endpoint refuses for one of its parameters is made again without that, and
-- body is left so for the samples that follow.
local function sample(client, body, opts)
  while true do
    local started = time.monotonic()
    local response, err = client:request {
      method = "POST", path = PATH, json = body, ok_status = READ, family = "synthetic",
    }
    local elapsed = time.monotonic() - started
    if not response then return failed(err, elapsed) end
    local fault, cut = answer_fault(response, opts.expect)
    local refused = response.status == 400 or response.status == 422
    local changed = refused and adjust(body, response.body)
    if cut and body.max_tokens == SHORT then -- nothing is left for the reply when it thinks first
      body.max_tokens, changed = ROOM, "max_tokens"
    end
    if not changed then
      return {
        latency_ms = latency_of(response.attempts, elapsed), response_code = response.status,
        payload_size_bytes = #response.body, fault = fault,
      }
    end
    opts.adjusted[#opts.adjusted + 1] = changed
  end
end

-- ---- all samples ----

-- The smallest value that at least so much of the sorted list does not exceed.
local function percentile(sorted, share)
  return sorted[math.max(1, math.ceil(share * #sorted))]
end

local function spread(samples)
  local sorted, sum = {}, 0
  for i, s in ipairs(samples) do
    sorted[i] = s.latency_ms
    sum = sum + s.latency_ms
  end
  table.sort(sorted)
  return {
    p50 = percentile(sorted, 0.5), p95 = percentile(sorted, 0.95), p99 = percentile(sorted, 0.99),
    min = sorted[1], max = sorted[#sorted], avg = rounded.tenths(sum / #sorted),
  }
end

local function summed_up(samples, opts)
  local passed, reasons, seen, told = 0, {}, {}, samples[#samples]
  for _, s in ipairs(samples) do
    if not s.fault then
      passed = passed + 1
    elseif not seen[s.fault] then
      seen[s.fault] = true
      reasons[#reasons + 1] = s.fault
      told = #reasons == 1 and s or told
    end
  end
  local latency = spread(samples)
  if opts.max_latency and passed > 0 and latency.p95 > opts.max_latency * 1000 then
    reasons[#reasons + 1] = ("%s of %g ms is above %g ms"):format(#samples > 1 and "a latency (p95)" or "a latency",
      latency.p95, opts.max_latency * 1000)
  end
  return {
    result = #reasons == 0 and "PASS" or "FAIL", latency_ms = latency.p50, response_code = told.response_code,
    payload_size_bytes = told.payload_size_bytes, samples = #samples, passed = passed, latency = latency,
    reasons = json.array(reasons), model = opts.model, adjusted = #opts.adjusted > 0 and opts.adjusted or nil,
  }
end

local OPTIONS = {
  endpoint = "string", model = "string", expect = "string", samples = "number", max_latency = "number", token = "any",
  deadline = "number", each = "function",
}

local function check(opts)
  argument.options("model.test", opts, OPTIONS, 2)
  for _, key in ipairs { "endpoint", "model" } do
    if not opts[key] then error(("model.test: %s is missing"):format(key), 3) end
  end
end

-- M.run{endpoint, model, expect = "VALIDATION_SUCCESS", samples = 1, max_latency = seconds, token = secret handle,
-- deadline = seconds a sample may take, each = function(sample, n)} -> {result = "PASS" | "FAIL", latency_ms,
-- response_code, payload_size_bytes, samples, passed, latency = {p50, p95, p99, min, max, avg in ms}, reasons, model,
-- adjusted = what of the request was changed because the endpoint refused it};
-- or nil, err when the endpoint can't be used at all. PASS needs every reply to hold `expect`, and with max_latency the
-- 95th percentile below it. latency_ms is the median; code and size are of the first sample that failed, else the last.
-- One sample after the other; one that got no answer is the last.
function M.run(opts)
  check(opts)
  local all = { expect = M.EXPECTED, samples = 1, deadline = DEADLINE, adjusted = json.array {} }
  for k, v in pairs(opts) do all[k] = v end
  local endpoint = all.endpoint:gsub("/+$", "")
  local credential, err
  if all.token then
    credential, err = auth.bearer(all.token, endpoint)
    if not credential then return nil, err end
  end
  local client
  client, err = http.client {
    base_url = endpoint, auth = credential, deadline = all.deadline, breaker = false, max_body = MAX_BODY,
  }
  if not client then return nil, err end
  local body, samples = body_for(all), {}
  for n = 1, all.samples do
    samples[n] = sample(client, body, all)
    if all.each then all.each(samples[n], n) end
    if samples[n].silent then break end
  end
  client:close()
  return summed_up(samples, all)
end

return M
