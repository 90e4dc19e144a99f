-- environment.lua - what OpenTelemetry's and W3C's environment variables ask for. For trace.lua only.
--
-- https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/ and …/protocol/exporter/;
-- TRACEPARENT and TRACESTATE as https://opentelemetry.io/docs/specs/otel/context/env-carriers/ says.

local native = require "moongate.span"

local M = {}

local TRACES_PATH = "/v1/traces"
local END_WAIT = 2 -- seconds that a run may wait at its end, unless OTEL_EXPORTER_OTLP_TIMEOUT says otherwise

-- A variable that is empty is one that is not set.
local function reader(getenv)
  return function(...)
    for _, name in ipairs { ... } do
      local value = getenv(name)
      if value and value ~= "" then return value, name end
    end
  end
end

-- M.parse(traceparent) -> {trace_id, parent, sampled} | nil: it is none.
function M.parse(text)
  local version, trace_id, parent, flags, rest = text:match "^(%x%x)%-(%x+)%-(%x+)%-(%x%x)(.*)$"
  if not version or text:find "%u" or version == "ff" or #trace_id ~= 32 or #parent ~= 16 then return nil end
  if version == "00" and rest ~= "" or rest ~= "" and rest:sub(1, 1) ~= "-" then return nil end
  if trace_id:find "^0+$" or parent:find "^0+$" then return nil end
  return { trace_id = trace_id, parent = tonumber(parent, 16), sampled = tonumber(flags, 16) & 1 == 1 }
end

local function endpoint_of(env)
  local traces = env "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
  if traces then return traces end
  local base = env "OTEL_EXPORTER_OTLP_ENDPOINT"
  return base and base:gsub("/+$", "") .. TRACES_PATH or nil
end

local function is_off(env)
  return (env "OTEL_SDK_DISABLED" or ""):lower() == "true" or env "OTEL_TRACES_EXPORTER" == "none"
end

local function number(env, default, ...)
  local n = tonumber((env(...)))
  return n and n > 0 and n or default
end

-- "a=1,b=2", percent-encoded.
local function resource_of(env)
  local out = {}
  for pair in (env "OTEL_RESOURCE_ATTRIBUTES" or ""):gmatch "[^,]+" do
    local name, value = pair:match "^%s*([^=%s]+)%s*=%s*(.-)%s*$"
    if name then out[name] = value:gsub("%%(%x%x)", function(h) return string.char(tonumber(h, 16)) end) end
  end
  out["service.name"] = env "OTEL_SERVICE_NAME" or out["service.name"] or "moongate"
  return out
end

-- ---- OTEL_TRACES_SAMPLER ----

-- Whether a new trace is sampled at the ratio: by its id, so that all who see it decide the same.
local function in_ratio(trace_id, ratio)
  local low = tonumber(trace_id:sub(-16), 16) >> 1
  return ratio >= 1 or low < ratio * 2.0 ^ 63
end

local function ratio_of(env, log)
  local text = env "OTEL_TRACES_SAMPLER_ARG"
  local ratio = tonumber(text or 1)
  if ratio and ratio >= 0 and ratio <= 1 then return ratio end
  log.warn("OTEL_TRACES_SAMPLER_ARG must be a number from 0 to 1, and is not used: %q", text)
  return 1
end

local SAMPLERS = { always_on = true, always_off = true, traceidratio = true }

-- Whether the trace is sampled. context: of a parent, or nil.
local function sampled(env, log, context, trace_id)
  local name = (env "OTEL_TRACES_SAMPLER" or "parentbased_always_on"):lower()
  local by_parent, root = name:match "^(parentbased_)(.+)$"
  root = root or name
  if not SAMPLERS[root] then
    log.warn("OTEL_TRACES_SAMPLER: unknown sampler %q; using parentbased_always_on", name)
    by_parent, root = true, "always_on"
  end
  if by_parent and context then return context.sampled end
  if root == "traceidratio" then return in_ratio(trace_id, ratio_of(env, log)) end
  return root == "always_on"
end

-- M.read(getenv, log) -> settings | nil: nothing to do. settings:
--   trace_id, parent (0: none), sampled, tracestate     the trace
--   record      false: only pass the trace on
--   endpoint, headers = variable's name, timeout (s), resource, queue, batch     where spans go
function M.read(getenv, log)
  local env = reader(getenv)
  local given = env "TRACEPARENT"
  local context = given and M.parse(given)
  if given and not context then log.warn("TRACEPARENT is not a W3C trace context and is ignored") end
  local endpoint = not is_off(env) and endpoint_of(env) or nil
  if not context and not endpoint then return nil end
  local settings = context or { trace_id = native.trace_id(), parent = 0, sampled = true }
  if endpoint then settings.sampled = sampled(env, log, context, settings.trace_id) end
  settings.tracestate = context and env "TRACESTATE" or nil
  settings.record = endpoint ~= nil and settings.sampled
  settings.endpoint = endpoint
  settings.headers = select(2, env("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"))
  settings.timeout = number(env, END_WAIT * 1000, "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT")
    / 1000
  settings.resource = resource_of(env)
  settings.queue = math.min(65536, number(env, 2048, "OTEL_BSP_MAX_QUEUE_SIZE") // 1 | 0)
  settings.batch = math.min(settings.queue, number(env, 512, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE") // 1 | 0)
  return settings
end

return M
