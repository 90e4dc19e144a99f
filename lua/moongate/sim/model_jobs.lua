-- model_jobs: POST of a registration begins a job; the model is in the registry (models.lua) when the job has ended.
--
-- A job passes through the option job_states, together for as long as the option job says, and then COMPLETED. Own: the
-- name of the model may ask for something else: "fail-…" ends FAILED, "stuck-…" stays RUNNING, "odd-…" is
-- PROVISIONING, a state that nobody knows, for half of its time.
local checked = require "moongate.sim.checked"
local errors = require "moongate.sim.errors"
local hash = require "moongate.hash"
local json = require "moongate.json"
local models = require "moongate.sim.models"
local task = require "moongate.task"
local time = require "moongate.time"

local M = { name = "model_jobs" }

local schema = checked.schema "model_registration"

function M.new()
  return {}
end

local function shown(job)
  return {
    id = job.id, status = job.status, createdAt = job.created_at, errors = json.array(job.errors or {}),
    result = job.model_id and { id = job.model_id } or nil,
  }
end

function M.show(jobs)
  local out = {}
  for id, job in pairs(jobs) do
    out[id] = shown(job)
    out[id].name, out[id].polls = job.registration.name, job.polls
  end
  return out
end

function M.count(jobs)
  local n = 0
  for _ in pairs(jobs) do n = n + 1 end
  return n
end

-- ---- a job's life ----

local function fail(job)
  job.status = "FAILED"
  job.errors = {
    { code = "model.unreachable", status = 424, message = "The endpoint did not answer the gateway.",
      errorCode = "model.unreachable", fieldName = "endpointUrl" },
    { code = "credential.rejected", status = 401, message = "The credential was not accepted by the endpoint.",
      errorCode = "credential.rejected", fieldName = "authCredentialId" },
  }
end

local function states_of(gw, name)
  if name:find "^odd%-" then return { "QUEUED", "PROVISIONING" } end
  return gw.options.job_states
end

local function tell(gw, job)
  local url = job.registration.webhookCallbackUrl
  if not url or url == json.null then return end
  gw.webhooks:send(url, {
    type = "model.registered", timestamp = time.iso(),
    data = { jobId = job.id, modelId = job.model_id, name = job.registration.name, status = job.status },
  })
end

local function run(gw, job)
  local name = job.registration.name
  local states = states_of(gw, name)
  for _, state in ipairs(states) do
    job.status = state
    task.sleep(gw.options.job / #states)
  end
  if name:find "^stuck%-" then
    job.status = "RUNNING"
    return
  end
  if name:find "^fail%-" then
    fail(job)
  else
    job.model_id = models.register(gw, job.registration, job.payload_hash).id
    job.status = "COMPLETED"
  end
  tell(gw, job)
end

-- ---- routes ----

local function post(gw, call)
  local refused = checked.body(call, schema, "registration")
  if refused then return refused end
  local job = {
    id = gw.rng:uuid(), status = states_of(gw, call.body.name)[1] or "QUEUED", created_at = time.iso(), polls = 0,
    registration = call.body, payload_hash = hash.payload(call.body),
  }
  gw.model_jobs[job.id] = job
  gw.jobs:add(function() run(gw, job) end)
  return { status = 202, json = { jobId = job.id } }
end

local function get(gw, call)
  local job = gw.model_jobs[call.params.jobId]
  if not job then return errors.response(call, 404, "not.found", ("Job %s not found."):format(call.params.jobId)) end
  job.polls = job.polls + 1
  return { json = shown(job) }
end

M.routes = {
  { "POST", "/api/v2/ai/llm-gateway/models", scope = "ai:llm-gateway:write", body = "json", handler = post },
  { "GET", "/api/v2/ai/jobs/{jobId}", scope = "ai:jobs:read", handler = get },
}

return M
