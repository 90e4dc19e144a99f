-- send.lua - a prompt's way to the models of its chain: what is sent, what comes of it, the audit event. For
-- router.lua, which goes on until a prompt has a result, and for the queue's workers, which send one request at a time.
--
-- r is a router (moongate.router), w what worker(r) gives, item what moongate.router.prompt makes, perhaps with
-- request_id.

local errors = require "moongate.error"
local reason = require("moongate.gateway.answer").reason
local reply = require "moongate.router.reply"
local gen_ai = require "moongate.trace.gen_ai"
local json = require "moongate.json"
local kinds = require "moongate.gateway.kinds"
local rounded = require "moongate.rounded"
local time = require "moongate.time"
local trace = require "moongate.trace"
local uuid = require "moongate.uuid"

local monotonic, new_id, derived, iso = time.monotonic, uuid.v4, uuid.v5, time.iso
local floor = math.floor

local M = {}

-- What is written for each prompt: the body of the request, the audit event and the result.
local as_body = json.record { "fallbackModels", "metadata", "modelId", "parameters", "prompt", "safetyFilters" }
local as_event = json.record {
  "action", "attempts", "correlationId", "error_code", "fallbacks", "hitRate", "http_status", "latencyMs", "modelId",
  "error_message", "requestId", "safetyPassed", "status", "timestamp",
}
M.as_result = json.record {
  "attempts", "correlation_id", "error", "fallbacks", "finish_reason", "id", "latency_ms", "line", "model", "output",
  "raw", "request_id", "safety", "status", "usage", "warning",
}

-- An unknown outcome is one of them: the request id makes sure that there is one effect.
local PASSING = {
  connect = true, network = true, timeout = true, unknown_outcome = true, breaker_open = true, retry_budget = true,
}

-- A lost connection: the one request of a worker's turn is worth another to the same model.
local LOST = { connect = true, network = true, unknown_outcome = true }

-- M.worker(r) -> what one task sends with, again and again: the tables of a request, and the result of the last prompt.
function M.worker(r)
  local headers, body = {}, as_body {}
  return {
    headers = headers, body = body, result = {}, asked = {}, send = r._send_by,
    event = as_event { action = "prompt_route" },
    request = { method = "POST", path = r.path, headers = headers, json = body, idempotent = true },
  }
end

-- The answer, in the form of the gateway's own: {output, usage, …}. One without a text anywhere is an answer, too: it
-- was made, and paid for. It is kept as it came.
local function read_answer(r, w, response)
  if not w.json then w.json, w.close = response.json, response.close end -- an answer's are those of all
  local answer = w.json(response)
  if not r._answer and type(answer) == "table" and type(answer.output) == "string" then return answer end
  return reply.read(answer, response, r._answer)
end

-- The model, or the gateway before it, refuses the prompt for a policy: by the rules of the dialect.
local function is_violation(r, err)
  return kinds.matches(r.kind.refused, err)
end

-- Whether another model may do better: this one is busy, out of order, does not answer, refuses the prompt, or can't
-- take one of that length.
local function goes_on(r, err)
  local status = err.status
  if status then
    return status >= 500 or status == 429 or status == 408 or is_violation(r, err)
      or kinds.matches(r.kind.too_long, err)
  end
  return PASSING[err.code] == true
end

local function note_failure(r, model, err)
  if err.attempts and err.attempts > 0 then model.requests = model.requests + 1 end
  if is_violation(r, err) then
    model.violations = model.violations + 1
  elseif err.attempts and err.attempts > 0 then
    model.failures = model.failures + 1
  end
end

local function note_hit(model, answer)
  model.requests, model.hits = model.requests + 1, model.hits + 1
  local usage = answer.usage
  if usage == nil then return end
  local _, input, output = reply.usage(answer)
  model.input_tokens, model.output_tokens = model.input_tokens + (input or 0), model.output_tokens + (output or 0)
end

-- One prompt to one model -> answer, tries | nil, err, tries
local function ask(r, w, model, left)
  local request = w.request
  request.family, request.deadline = model.family, left
  local started = monotonic()
  local response, err = w.send(r._client, request)
  local answer, tries
  if response then
    answer = read_answer(r, w, response)
    tries = response.tries
    w.close(response)
  end
  if response or err.attempts > 0 then model.seconds:observe(monotonic() - started) end
  if not answer then return nil, err, err.attempts or 0 end
  return answer, nil, tries or 1
end

-- The same with a span around it, where somebody traces.
local function ask_traced(r, w, model, left)
  local parameters = w.body.parameters
  return gen_ai.call({
    model = model.label, temperature = parameters.temperature, top_p = parameters.topP,
    max_tokens = parameters.maxTokens,
  }, function(call)
    call:prompt(w.body.prompt)
    local answer, err, tries = ask(r, w, model, left)
    if answer then
      local _, input, output = reply.usage(answer)
      call:answered {
        id = answer.requestId, model = answer.modelId, input_tokens = input, output_tokens = output,
        finish_reasons = answer.finishReason and { answer.finishReason } or nil,
      }
      call:completion(answer.output or "", answer.finishReason)
    else
      call:failed(err.status or err.code)
    end
    return answer, err, tries
  end)
end

-- -> nil, or why it could not be written.
local function write_audit(r, w, result, model)
  local event, safety = w.event, result.safety
  event.timestamp, event.modelId, event.requestId = iso(), result.model, result.request_id
  event.status, event.latencyMs, event.correlationId = result.status, result.latency_ms, result.correlation_id
  event.hitRate = model.requests > 0 and floor(model.hits / model.requests * 10000 + 0.5) / 10000 or 0
  event.safetyPassed = nil
  if type(safety) == "table" then event.safetyPassed = safety.passed end
  event.attempts, event.fallbacks = result.attempts, result.fallbacks and #result.fallbacks or 0
  local err = result.error
  event.error_code, event.http_status = err and err.code or nil, err and err.status or nil
  event.error_message = err and reason(err) or nil
  if err and is_violation(r, err) then event.safetyPassed = false end
  local seq, why = r.audit.event(event)
  if seq then return end
  return errors.new {
    code = why and why.code or "io", outcome = result.status == "ok" and "final" or "unknown",
    message = ("a prompt was routed, but that could not be written to the audit log: %s"):format(
      why and why.message or "?"),
    hint = "Check the audit log with `moongate doctor`.",
  }
end

-- M.begin(r): the audit log can be written, which is found out before the first prompt is sent. Raises.
function M.begin(r)
  if r.begun then return end
  r.begin_lock:with(function()
    if r.begun then return end
    local labels = {}
    for i, model in ipairs(r.chain or {}) do labels[i] = model.label end
    local seq, why = r.audit.event {
      action = "prompt_routing", status = "started", models = #labels > 0 and table.concat(labels, ", ") or nil,
      concurrency = r.concurrency,
    }
    if not seq then
      errors.raise {
        code = why and why.code or "io", outcome = "not_sent",
        message = ("no prompt was sent, because it can't be audited: %s"):format(why and why.message or "?"),
        hint = "Check the audit log with `moongate doctor`.",
      }
    end
    r.begun = true
  end)
end

-- M.entry(w) -> what the last audit event of w says, as a webhook for each prompt has it: status is that of HTTP.
function M.entry(w)
  local e = w.event
  return {
    timestamp = e.timestamp, modelId = e.modelId, requestId = e.requestId, latencyMs = e.latencyMs,
    hitRate = e.hitRate,
    status = e.http_status or e.status == "ok" and 200 or 0, outcome = e.status, safetyPassed = e.safetyPassed,
    correlationId = e.correlationId, attempts = e.attempts, fallbacks = e.fallbacks, error_code = e.error_code,
    error_message = e.error_message,
  }
end

-- The request id of a prompt for the ith model of its chain. A prompt whose first is known, because it may be sent
-- again in another life of the run, has the others from it: the gateway knows them for the same.
local function request_id(item, i)
  local first = item.request_id
  if not first or i == 1 then return first or new_id() end
  return derived(first, i)
end

-- What all requests for the prompt have in common.
local function address(w, item, id)
  local body, correlation = w.body, "route-" .. id
  body.prompt, body.parameters, body.safetyFilters, body.metadata =
    item.prompt, item.parameters, item.filters, item.labels
  w.headers["X-Correlation-Id"] = correlation
  return correlation
end

-- What those for the ith model have. last: nobody is behind it.
local function choose(w, item, i, id, last)
  local model = item.chain[i]
  w.body.modelId, w.body.fallbackModels, w.request.no_wait = model.id, item.chain.rest[i], not last
  w.headers["X-Genesys-Request-Id"] = id
  return model
end

local function fallen(model, err, id)
  model.fallbacks = model.fallbacks + 1
  return { model = model.id, code = err.gateway_code or err.code, status = err.status, request_id = id }
end

-- What came of it all. asked: {at = the model that was asked last, id = the request id of that, correlation, tries,
-- fallbacks, seconds}.
local function finish(r, w, item, asked, answer, err)
  local model = item.chain[asked.at]
  local result = w.result
  result.id, result.line, result.model, result.request_id, result.correlation_id =
    item.id, item.line, model.id, asked.id, asked.correlation
  result.status, result.attempts, result.fallbacks = answer and "ok" or "failed", asked.tries, asked.fallbacks
  result.latency_ms, result.error = rounded.milliseconds(asked.seconds), err
  result.output, result.finish_reason, result.usage, result.safety = nil, nil, nil, nil
  result.raw, result.warning = nil, nil
  if answer then
    result.output, result.finish_reason, result.usage, result.safety =
      answer.output, answer.finishReason, answer.usage, answer.safety
    result.raw, result.warning = answer.raw, answer.warning
    if answer.warning and not r._warned then
      r._warned = true
      r.gateway.log.warn("%s %s: %s (said once)", w.request.method, r.path, answer.warning)
    end
    note_hit(model, answer)
    if type(answer.modelId) == "string" then result.model = answer.modelId end
  else
    if err.status == 403 and r._scope and kinds.is_scope(err) then
      err.hint = ("The OAuth client needs the scopes %s."):format(r._scope)
    end
    if is_violation(r, err) then err.hint = "Change the prompt, or add fallback models." end
  end
  return result, write_audit(r, w, result, model)
end

-- M.route(r, item, w, left = seconds) -> result, which is w's, its field error set when no model has answered; and why
-- it could not be audited, or nil. Raises when nothing could be.
function M.route(r, item, w, left)
  if not r.begun then M.begin(r) end
  local chain = item.chain
  local asked = trace.on() and ask_traced or ask
  local began = monotonic()
  local ending = began + left
  local id = request_id(item, 1)
  local correlation = address(w, item, id)
  local i, tries, fallbacks, last = 1, 0, nil, #chain
  local model, answer, err
  while true do
    model = choose(w, item, i, id, i == last)
    local n
    answer, err, n = asked(r, w, model, left / (last - i + 1)) -- those behind it have their share of the time, too
    tries = tries + n
    if answer then break end
    note_failure(r, model, err)
    left = ending - monotonic()
    if i == last or left <= 0 or not goes_on(r, err) then break end
    fallbacks = fallbacks or json.array {}
    fallbacks[i] = fallen(model, err, id)
    i = i + 1
    id = request_id(item, i)
  end
  local last_asked = w.asked
  last_asked.at, last_asked.id, last_asked.correlation, last_asked.tries, last_asked.fallbacks, last_asked.seconds =
    i, id, correlation, tries, fallbacks, monotonic() - began
  return finish(r, w, item, last_asked, answer, err)
end

-- Whether another try may help: busy, out of order, not reached.
local function is_passing(err)
  local status = err.status
  if status then return status >= 500 or status == 429 or status == 408 end
  return PASSING[err.code] == true
end

-- The result; raises where it could not be audited: the prompt stays in its queue.
local function audited(result, fault)
  if fault then error(fault, 0) end
  return result
end

-- M.once(r, item, w, left, facts) -> "done", result; "next", err: the next model of the chain is to be asked; "again",
-- err: the same one, later. One request, to the model at facts.at; facts ({at = 1} before the first) is kept with the
-- prompt. Raises when it can't be audited, and what no prompt can help: credentials that are not accepted.
function M.once(r, item, w, left, facts)
  if not r.begun then M.begin(r) end
  local first, i = request_id(item, 1), facts.at
  local id = request_id(item, i)
  facts.id, facts.correlation = id, address(w, item, first)
  local model = choose(w, item, i, id, i == #item.chain)
  local began = monotonic()
  local answer, err, n = (trace.on() and ask_traced or ask)(r, w, model, left)
  facts.tries, facts.seconds = (facts.tries or 0) + n, (facts.seconds or 0) + monotonic() - began
  if not answer then
    note_failure(r, model, err)
    if err.code == "unauthorized" or err.status == 401 then error(err, 0) end
    local lost = LOST[err.code] and not err.status -- the same model knows the request id
    if i < #item.chain and not lost and goes_on(r, err) then
      facts.fallbacks = facts.fallbacks or json.array {}
      facts.fallbacks[i] = fallen(model, err, id)
      facts.at = i + 1
      return "next", err
    end
    if is_passing(err) then return "again", err end
  end
  return "done", audited(finish(r, w, item, facts, answer, err))
end

-- M.give_up(r, item, w, err, facts) -> result, of a prompt whose last try failed with err.
function M.give_up(r, item, w, err, facts)
  return audited(finish(r, w, item, facts, nil, err))
end

return M
