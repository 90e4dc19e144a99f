-- register-model: register models with the gateway and prove that they answer.
--
--   load every file; on an error in one, all errors of all are reported and nothing is sent
--   hold their names, so that no other run is half-way through them
--   read the list of models once: what is registered already is not registered again
--   for each model, several at a time: submit it, wait for its job, test its endpoint, check its health, tell the
--   webhooks, audit
--
-- One model that fails does not stop the others; the exit status is that of the first failed one, in the order given.

local answer = require "moongate.gateway.answer"
local batch = require "moongate.batch"
local diff = require "moongate.diff"
local endpoint = require "moongate.model.endpoint"
local errors = require "moongate.error"
local hash = require "moongate.hash"
local json = require "moongate.json"
local model = require "moongate.model"
local time = require "moongate.time"
local workflow = require "moongate.workflow"

local CHANGED = { created = true, reconciled = true }

-- ---- one model: its parts. m: {run, args, item, entry, say, token} ----

local function note_write(entry, result)
  entry.status, entry.model_id = result.status, result.id
  entry.job_id, entry.job_duration_ms = result.job and result.job.id, result.job and result.job.duration_ms
  entry.latency_ms, entry.attempts = result.latency_ms, result.attempts
  entry.correlation_id, entry.audit_seq = result.correlation_id, result.audit_seq
end

-- -> nil, or what went wrong with the submission or its job.
local function submit(m)
  local ok, result = pcall(m.run.step, m.run, "register " .. m.entry.name, function()
    return model.register(m.run.gateway, m.item.registration, {
      job = {
        deadline = m.args.job_deadline, before = not m.args.unlisted and m.args.listed or nil,
        watch = function(state) m.say("job " .. tostring(state)) end,
      },
    })
  end, { again = true })
  if ok then return note_write(m.entry, result) end
  if not errors.is(result) then error(result, 0) end
  local job = result.job
  if job then m.entry.job_id, m.entry.job_duration_ms = job.id, job.duration_ms end
  m.refused = not job and result.outcome ~= "unknown"
  m.state = (m.refused or result.code == "failed") and "FAILED" or "UNKNOWN"
  return result
end

local function run_test(m, url, name)
  local seconds = m.run.metrics:histogram("moongate_model_test_seconds", "Time of a synthetic test's answer.",
    { "model" })
  return m.run:model_call({ model = name, temperature = 0, max_tokens = 10 }, function(call)
    local test, err = model.test {
      endpoint = url, model = name, token = m.token, expect = m.args.expect, samples = m.args.samples,
      max_latency = m.args.max_latency, deadline = m.run.deadline,
      each = function(sample) seconds:observe(sample.latency_ms / 1000, m.entry.name) end,
    }
    if not test then
      call:failed(err.code)
    elseif test.result == "FAIL" then
      local code = test.response_code
      call:failed(code and (code < 200 or code > 299) and code or "verify")
    end
    return test, err
  end)
end

local function test_endpoint(m)
  m.say "synthetic test"
  local url, simulated = endpoint.of(m.run, m.item.registration.endpointUrl)
  local test, err = run_test(m, url, m.args.test_model or m.item.test_model)
  if not test then error(err, 0) end
  test.endpoint, test.simulated = url, simulated or nil
  m.entry.validation = test
  if test.result == "PASS" then return end
  m.state = "VALIDATION_FAILED"
  return errors.new {
    code = "verify", message = "the synthetic test failed: " .. table.concat(test.reasons, "; "),
    hint = ("the model is registered (id %s); Correct its endpoint and run this again."):format(
      m.entry.model_id or "unknown"),
  }
end

local function check_health(m)
  m.say "health check"
  if not m.entry.model_id then
    m.entry.health = { status = "UNKNOWN" }
    return errors.new {
      code = "verify", message = "it is registered, but the gateway names no id: its health can't be checked",
      hint = "Look for it with `moongate get models`.",
    }
  end
  local ok, health = pcall(model.check_health, m.run.gateway, m.entry.model_id)
  if not ok then
    if not errors.is(health) then error(health, 0) end
    m.entry.health = { status = "UNKNOWN", verdict = "unknown" }
    return health
  end
  m.entry.health = { status = health.status, id = health.id, verdict = health.verdict, message = health.message }
  if health.healthy then return end
  m.state = m.state or health.verdict == "unhealthy" and "UNHEALTHY" or "HEALTH_UNKNOWN"
  return errors.new {
    code = "verify", correlation_id = health.correlation_id, message = ("the gateway's health check says %s%s"):format(
      health.status == "UNKNOWN" and "nothing that is known" or health.status,
      health.message and ": " .. health.message or ""),
    hint = health.verdict == "unknown"
      and "Name the words that mean healthy in the project file: gateway.kinds.model_health.healthy." or nil,
  }
end

-- ---- one model: webhooks and audit ----

-- The registration's own webhook_callback_url, told in the flat form.
local function callback(m)
  local url = m.item.registration.webhookCallbackUrl
  return url and { callback = { url = url, format = "flat", events = { "llm_model_registration_updated" } } } or nil
end

local function announcement(m)
  local entry, test = m.entry, m.entry.validation or {}
  local latency = test.latency or {}
  local status = m.state or "REGISTERED"
  return "llm_model_registration_updated", {
    timestamp = time.iso(), modelId = entry.model_id or json.null, status = status,
    name = entry.name, jobId = entry.job_id, payloadHash = entry.payload_hash,
    metrics = {
      jobDurationMs = entry.job_duration_ms, validationStatus = test.result or "SKIPPED", latencyMs = test.latency_ms,
      validationLatencyMs = test.latency_ms,
      responseCode = test.response_code, payloadSizeBytes = test.payload_size_bytes, samples = test.samples,
      latencyP50Ms = latency.p50, latencyP95Ms = latency.p95, latencyP99Ms = latency.p99,
    },
  }, {
    flat = status == "REGISTERED" and { status = "COMPLETED" } or nil, -- the job's word, which their readers know
    also = callback(m),
  }
end

local function record(m, fault)
  local entry, test = m.entry, m.entry.validation or {}
  assert(m.run.audit.event {
    action = "model_registration", timestamp = time.iso(), name = entry.name, modelId = entry.model_id,
    payloadHash = entry.payload_hash, jobId = entry.job_id, jobDurationMs = entry.job_duration_ms,
    validationStatus = test.result or "SKIPPED", latencyMs = test.latency_ms, response_code = test.response_code,
    payload_size_bytes = test.payload_size_bytes, samples = test.samples, status = m.state or "REGISTERED",
    health = entry.health and entry.health.status, endpoint = test.endpoint, compliance = "RECORD_STORED",
    error_code = fault and fault.code, error_message = fault and answer.reason(fault),
  })
  m.run.metrics:counter("moongate_model_registrations_total", "Models registered, by what came of it.", { "status" })
    :add(1, (m.state or entry.status == "unchanged" and "UNCHANGED" or "REGISTERED"):lower())
end

-- ---- one model ----

local function plan(m)
  local planned = model.register(m.run.gateway, m.item.registration)
  m.entry.status, m.entry.changes = planned.status, diff.to_json(planned.changes)
  m.entry.registration = m.item.registration
end

-- The first thing that is wrong with the registered model, or nil. Both are looked at in any case. new: whether it is
-- announced, with what was seen of it.
local function verify(m, new)
  local function note(seen)
    m.entry.validation, m.entry.health, m.state = seen.validation, seen.health, seen.state
  end
  local seen = m.run:step("verify " .. m.entry.name, function()
    local fault = m.args.synthetic and test_endpoint(m) or nil
    local sick = check_health(m)
    fault = fault or sick
    return {
      validation = m.entry.validation, health = m.entry.health, state = m.state,
      fault = fault and workflow.error_data(fault) or nil,
    }
  end, {
    idempotent = true, told = batch.told(m.entry), again = function(seen) return seen.fault ~= nil end,
    webhook = new and function(seen)
      note(seen)
      return announcement(m)
    end or nil,
  })
  note(seen)
  return seen.fault and errors.new(seen.fault) or nil
end

-- The model of the same name and content that is registered already, or nil. Raises where the name is taken.
local function look(m)
  return m.run:read("find " .. m.entry.name, function()
    local there, taken = model.find(m.run.gateway, m.item.registration, { among = m.args.listed })
    if taken and not m.args.allow_duplicate_name then error(taken, 0) end
    return there and { id = there.id } or nil
  end)
end

-- A gateway may accept a model without naming it: then its list does, sooner or later.
local function name_it(m)
  local ok, found = pcall(m.run.gateway.find, m.run.gateway, "model", {}, m.item.registration)
  if not ok and not errors.is(found) then error(found, 0) end
  local ids = {}
  for _, match in ipairs(ok and found or {}) do
    if match.same_content ~= false then ids[#ids + 1] = match.resource.id end
  end
  m.entry.model_id = #ids == 1 and ids[1] or nil
end

local function register(m)
  local there = look(m)
  if there then
    m.entry.status, m.entry.model_id = "unchanged", there.id
  elseif m.run.dry_run then
    return plan(m)
  end
  if m.run.dry_run then return end
  local fault
  if not there then fault = submit(m) end
  if not fault and not m.entry.model_id then name_it(m) end
  if fault and not m.refused then -- nobody's list changes by what was refused
    batch.told(m.entry)(m.run:webhook(announcement(m)))
  end
  fault = fault or verify(m, not there)
  record(m, fault)
  if fault then error(fault, 0) end
end

-- ---- the result ----

local ORDER = { "created", "reconciled", "unchanged", "planned", "failed" }

local function detail_lines(entry)
  local lines = {}
  if entry.changes and #entry.changes > 0 then
    lines = diff.lines(entry.changes, "  ")
    table.insert(lines, 1, ("%s  (%s)"):format(entry.name, entry.file))
    lines[#lines + 1] = "  sha256 " .. entry.payload_hash
  end
  if entry.validation and entry.validation.simulated then
    lines[#lines + 1] = ("%s: its endpoint %s was played by the simulated gateway (--sim)"):format(entry.name,
      entry.endpoint_url)
  end
  return lines
end

local function final_line(entry)
  local add, done = batch.line(entry, entry.name)
  local test = entry.validation
  add("id %s", entry.model_id)
  add("job %s ms", entry.job_duration_ms)
  if test then
    add("test %s", test.result)
    if test.samples > 1 then
      add("%s", ("%d/%d passed"):format(test.passed, test.samples))
      add("%s", ("p50 %g p95 %g p99 %g ms"):format(test.latency.p50, test.latency.p95, test.latency.p99))
    else
      add("%s ms", test.latency_ms)
    end
  end
  add("health %s", entry.health and entry.health.status)
  add("correlation %s", entry.correlation_id)
  add("audit %d", entry.audit_seq)
  return done()
end

-- ---- the workflow ----

-- Flags that say something about a test that is not made.
local function check_flags(args)
  if args.synthetic then return end
  for _, flag in ipairs { "expect", "max_latency", "test_model" } do
    if args[flag] ~= nil then
      errors.raise {
        code = "usage", message = ("--%s has no meaning with --no-synthetic"):format((flag:gsub("_", "-"))),
      }
    end
  end
end

-- What this run registers, if anything: a name, since there is no id yet.
local function places(items)
  local list = {}
  for i, item in ipairs(items) do list[i] = { "model", {}, content = item.registration } end
  return list
end

-- Answers of a gateway that does not let its models be listed.
local UNLISTED = { [403] = true, [404] = true, [405] = true, [501] = true }

-- The models that are registered already; none where they can't be listed: the gateway itself refuses duplicates, or
-- takes them.
local function listed(run)
  local ok, list = pcall(model.listed, run.gateway)
  if ok then return list end
  if not (errors.is(list) and UNLISTED[list.status]) then error(list, 0) end
  run.log.warn("the models can't be listed (%s): duplicates are not looked for", tostring(list.message))
  return {}, true
end

return workflow.define {
  name = "register-model",
  summary = "register models and test their endpoints",
  description = {
    "Checks every file first; an error in any of them stops all. A model that is already registered with the same",
    "content is skipped; a name that is used with other content is a conflict. Then submits each model, waits for its",
    "job, tests its endpoint with a prompt of known answer (POST {endpoint_url}/v1/chat/completions), lets the",
    "gateway check its health, notifies the webhooks of the project file and audits the result. A failed test, or one",
    "slower than --max-latency, gives exit status 8; the model stays registered. The token in EXTERNAL_AI_TOKEN is",
    "sent only to the origin of the endpoint. With --sim the simulated gateway serves every https endpoint.",
  },
  author = "moongate",
  categories = { "write", "model" },
  args = { { "model", "registration of a model (JSON), a folder of them, or -", repeated = true } },
  flags = {
    { "synthetic", "test the endpoint with a prompt; --no-synthetic: do not", type = "boolean", default = true },
    { "samples", "send N test prompts, one after the other", type = "integer", min = 1, max = 1000, default = 1,
      value = "N" },
    { "max-latency", "fail when the 95th percentile of latency is above", type = "duration",
      value = "DURATION" },
    { "expect", "expect TEXT in the reply (default VALIDATION_SUCCESS)",
      value = "TEXT" },
    { "test-model", "set the name of the model at its endpoint", value = "NAME" },
    { "token-origin", "send the endpoint token to this origin", repeated = true,
      value = "ORIGIN" },
    { "allow-duplicate-name", "register even if the name has other content",
      type = "boolean" },
    { "job-deadline", "limit the duration of the gateway's job", type = "duration", value = "DURATION",
      default = "120s" },
    { "concurrency", "process up to N models in parallel", type = "integer", min = 1, max = 256, default = 4,
      value = "N" },
  },
  examples = {
    { "moongate --sim register-model scripts/examples/model.json", "against the simulated gateway" },
    { "moongate register-model --dry-run models/", "show requests and their hashes" },
    { "moongate register-model model.json --samples 20 --max-latency 800ms", "exit status 8 when too slow" },
  },
  permissions = { net = { "*" }, read = { "." } },  -- the endpoints to test; the files that the user names
  run = function(run, args)
    local items, urls = model.load_all(args.model, { limits = run.limits }), {}
    check_flags(args)
    for i, item in ipairs(items) do urls[i] = item.registration.endpointUrl end
    local token_for = endpoint.tokens(run, args.synthetic and urls or {}, args.token_origin)
    run:hold(places(items))
    args.listed, args.unlisted = listed(run)
    local entries = batch.map(run, items, {
      noun = "models", concurrency = args.concurrency, changed = CHANGED,
      name = function(entry) return entry.name end,
      entry = function(item)
        local r = item.registration
        return { name = r.name, file = item.file, endpoint_url = r.endpointUrl, payload_hash = hash.payload(r) }
      end,
      work = function(item, entry, say)
        local url = endpoint.of(run, item.registration.endpointUrl)
        register { run = run, args = args, item = item, entry = entry, say = say, token = token_for(url) }
      end,
    })
    return batch.result(entries, { noun = "models", order = ORDER, detail = detail_lines, line = final_line })
  end,
}
