-- registration.lua - what a model is registered as: files read and checked (snake_case), the body that is sent
-- (camelCase), the model looked for, submitted, and its health checked. Reached through moongate.model.

local answer = require "moongate.gateway.answer"
local argument = require "moongate.argument"
local documents = require "moongate.documents"
local errors = require "moongate.error"
local http = require "moongate.http"
local json = require "moongate.json"
local kinds = require "moongate.gateway.kinds"
local merged = require "moongate.merged"

local M = {}

-- Limits, and what a project file may set instead (limits = { requests_per_minute = 20000 }).
M.LIMITS = {
  requests_per_minute = 10000,
  tokens_per_minute = 5000000,
  model_file_bytes = 1 << 20,
}

local POINTERS = {
  requests_per_minute = "/properties/max_requests_per_minute/maximum",
  tokens_per_minute = "/properties/max_tokens_per_minute/maximum",
}

local WHAT = "a model registration"

local function limits_of(opts)
  local out = {}
  for name, value in pairs(M.LIMITS) do out[name] = opts.limits and opts.limits[name] or value end
  return out
end

-- ---- the rules that no schema can say ----

-- The synthetic test puts a path behind it.
local function endpoint_fault(url)
  local fault = documents.url_fault(url)
  if fault then return fault end
  if url:find("[?#]") then return "must not contain a query or fragment: /v1/chat/completions is appended" end
  local port = url:match("^[^/]*//[^/]*:(%d*)$") or url:match("^[^/]*//[^/]*:(%d*)/")
  if port and not (#port < 6 and tonumber(port) and tonumber(port) > 0 and tonumber(port) < 65536) then
    return ("has an invalid port: %q"):format(port)
  end
  if url:find "/completions/*$" then return "must end before /v1/chat/completions, which is put behind it" end
  local version = url:match "^%a+://[^/]+.*(/v%d+%w*)/*$"
  if version then
    return ("must not end in %s: /v1/chat/completions is put behind it"):format(version)
  end
end

local function name_fault(name)
  if name:find("%c") then return "must not contain control characters" end
  if name:find("^%s") or name:find("%s$") then return "must not begin or end with a space" end
end

local function id_fault(id)
  if id:find("%c") then return "must not contain control characters" end
end

local RULES = {
  { "name", name_fault }, { "endpoint_url", endpoint_fault }, { "auth_credential_id", id_fault },
  { "webhook_callback_url", documents.url_fault },
}

local function rules(document, report)
  for _, rule in ipairs(RULES) do
    local value = document[rule[1]]
    local fault = type(value) == "string" and value ~= "" and rule[2](value)
    if fault then report("/" .. rule[1], fault) end
  end
end

-- ---- one document ----

-- The body that is sent. An empty list of parameters is an object all the same.
local function body_of(document)
  local parameters = merged(document.parameters)
  return {
    name = document.name, endpointUrl = document.endpoint_url, authCredentialId = document.auth_credential_id,
    modelArchitecture = document.model_architecture, parameters = parameters,
    rateLimits = {
      maxRequestsPerMinute = document.max_requests_per_minute, maxTokensPerMinute = document.max_tokens_per_minute,
    },
    webhookCallbackUrl = document.webhook_callback_url,
  }
end

-- M.check(document [, {limits, text, file}]) -> registration (the body that is sent), test_model (which is not: what
-- the endpoint calls the model; default: its name); or nil, faults.
function M.check(document, opts)
  opts = opts or {}
  local valid, faults = documents.check(document, {
    schema = "model", what = WHAT, rules = rules, pointers = POINTERS, limits = limits_of(opts), text = opts.text,
    file = opts.file,
  })
  if not valid then return nil, faults end
  return body_of(document), document.test_model or document.name
end

-- ---- files ----

-- -> {file, registration, test_model} or nil, and the name where one could be read.
local function load_one(path, opts, faults)
  local text = documents.read(path, { what = WHAT, max_bytes = limits_of(opts).model_file_bytes }, faults)
  local document = text and documents.decode(path, text, faults)
  if document == nil then return nil end
  local body, more = M.check(document, { limits = opts.limits, text = text, file = path })
  local name = documents.is_object(document) and document.name or nil
  if not body then
    table.move(more, 1, #more, #faults + 1, faults)
    return nil, name
  end
  return { file = path, registration = body, test_model = more }, name
end

local function check_options(what, opts)
  argument.check(2, what, opts, "table?", 2)
  return argument.options(what, opts, { limits = true }, 2)
end

-- M.load_all(paths [, {limits}]) -> list of {file, registration, test_model} in the order given; a folder stands for
-- the *.json files in it, by name. Raises one error, "invalid", whose details are all faults of all files; a name that
-- two files share is one.
function M.load_all(paths, opts)
  opts = check_options("model.load_all", opts)
  return documents.load_all(paths, {
    id = "/name", load = function(path, faults) return load_one(path, opts, faults) end,
  })
end

-- M.load(path [, {limits}]) -> registration, test_model. Raises as load_all does.
function M.load(path, opts)
  opts = check_options("model.load", opts)
  local faults = {}
  local item = load_one(path, opts, faults)
  if not item then documents.raise(faults) end
  return item.registration, item.test_model
end

-- ---- on the gateway ----

-- M.listed(gateway) -> every model that the gateway lists, for find's `among`.
function M.listed(gateway)
  local _, all = gateway:find("model", {}, {})
  return all
end

-- What the listing tells of a model, beside what is to be registered.
local TOLD = { "endpointUrl", "modelArchitecture", "authCredentialId" }

local function differences(theirs, ours)
  local details = {}
  for _, field in ipairs(TOLD) do
    if type(theirs[field]) == "string" and theirs[field] ~= ours[field] then
      details[#details + 1] = {
        pointer = "/" .. field, field = field, theirs = theirs[field], ours = ours[field],
        message = ("registered %s, to be registered %s"):format(theirs[field], ours[field]),
      }
    end
  end
  return details
end

local function taken(match, registration)
  local model = match.resource
  return errors.new {
    code = "conflict", outcome = "not_sent", details = differences(model, registration),
    message = ("a model named %s is registered already (id %s)%s"):format(registration.name, tostring(model.id),
      match.same_content == false and ", with other content"
      or "; the gateway does not report whether it is the same"),
    hint = "Choose another name, or register it with --allow-duplicate-name.",
  }
end

-- M.find(gateway, registration [, {among = M.listed's}]) -> the model that is registered under that name with the same
-- content, or nil; and where there is only one of another content, the conflict as an error object.
function M.find(gateway, registration, opts)
  local matches = gateway:find("model", {}, registration, opts)
  for _, match in ipairs(matches) do
    if match.same_content then return match.resource end
  end
  if #matches > 0 then return nil, taken(matches[#matches], registration) end
end

-- What the audit event `model_submit` adds once the job has ended.
local function audit_outcome(result, err)
  local job = (result or err).job
  return { modelId = result and result.id, jobId = job and job.id, jobDurationMs = job and job.duration_ms }
end

-- M.register(gateway, registration [, opts of gateway:write]) -> the result of gateway:write: status "created" or
-- "reconciled", id = the model's, job = {id, status, duration_ms}. Looks for no model of that name: find does.
-- opts.job: {deadline = 120 s, watch = function(state)}.
function M.register(gateway, registration, opts)
  local request = {
    content = registration, action = "model_submit", outcome_details = audit_outcome,
    details = { name = registration.name, endpoint_url = registration.endpointUrl },
  }
  for k, v in pairs(opts or {}) do request[k] = v end
  return gateway:write("model", {}, request)
end

-- ---- health ----

-- Members that may hold the word of a health check, or yes or no.
local WORDS = { "status", "health", "state", "healthStatus", "result", "outcome", "healthy", "ok", "passed", "success" }

-- The gateway's word for the health: a text; "" where it has none.
local function word_of(body, text)
  if type(body) == "string" then return body end
  if type(body) ~= "table" then return body == nil and text or "" end
  for _, name in ipairs(WORDS) do
    local word = body[name]
    if type(word) == "table" then word = word.status or word.state end
    if type(word) == "string" and word ~= "" then return word end
    if type(word) == "boolean" then return word and "HEALTHY" or "UNHEALTHY" end
  end
  return ""
end

local function is_one_of(word, list)
  for _, known in ipairs(list or {}) do
    if word == known:lower() then return true end
  end
  return false
end

-- M.check_health(gateway, model_id) -> {status = the gateway's word or "UNKNOWN", verdict = "healthy" | "unhealthy" |
-- "unknown", healthy = true | false, id, message}. Raises when there is no answer. Healthy is what the dialect's kind
-- model_health names so, and nothing else: no answer's body, a check that has only begun and other words are unknown.
function M.check_health(gateway, model_id)
  local kind = gateway:kind "model_health"
  local ok, response = pcall(gateway.request, gateway, {
    method = "POST", read = true, idempotent = true, path = kind.path, params = { modelId = model_id },
    family = kind.family,
  })
  if not ok then
    if errors.is(response) and response.status == 403 and kinds.is_scope(response) then
      response.hint = ("The OAuth client needs the scope %s."):format(kind.scopes.read)
    end
    error(response, 0)
  end
  local body = response.body ~= "" and response:json() or nil
  if json.is_array(body) then body = answer.object(body) end
  local word = word_of(body, response.body):match "^%s*(.-)%s*$"
  local lower = word:lower()
  local verdict = is_one_of(lower, kind.healthy) and "healthy" or is_one_of(lower, kind.unhealthy) and "unhealthy"
    or "unknown"
  local reason = verdict ~= "healthy" and http.reason(response.body, response.headers["content-type"]) or {}
  local said = reason.message and reason.message ~= word and not (word ~= "" and reason.excerpt) and reason.message
    or nil
  if verdict ~= "healthy" and response.body == "" then
    said = ("an empty answer (status %d)"):format(response.status)
  end
  return {
    status = word ~= "" and #word <= 64 and word or "UNKNOWN", verdict = verdict, healthy = verdict == "healthy",
    id = type(body) == "table" and body.id or nil, correlation_id = response.correlation_id,
    message = said and answer.reason { message = said, details = reason.details } or nil,
  }
end

return M
