-- otlp.lua - spans as OTLP/JSON: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding. Ids in hex, enums as
-- integers, 64-bit integers as strings. For trace/exporter.lua only.

local json = require "moongate.json"

local M = {}

M.SCHEMA = "https://opentelemetry.io/schemas/1.37.0" -- the semantic conventions whose names are used

local KINDS = { internal = 1, client = 3 }
local ERROR = 2 -- STATUS_CODE_ERROR

local function value_of(v)
  if type(v) == "boolean" then return { boolValue = v } end
  if math.type(v) == "integer" then return { intValue = ("%d"):format(v) } end
  if type(v) == "number" and v == v and v ~= math.huge and v ~= -math.huge then return { doubleValue = v } end
  if type(v) == "table" then
    local values = json.array {}
    for i, item in ipairs(v) do values[i] = value_of(item) end
    return { arrayValue = { values = values } }
  end
  v = tostring(v)
  if not utf8.len(v) then v = v:gsub("[\128-\255]", "?") end
  return { stringValue = v }
end

-- M.attributes{name = value} -> list of {key, value}, in the order of the names.
function M.attributes(t)
  local list = json.array {}
  for key, v in pairs(t) do
    if v ~= json.null then list[#list + 1] = { key = key, value = value_of(v) } end
  end
  table.sort(list, function(a, b) return a.key < b.key end)
  return list
end

local function id(n)
  return ("%016x"):format(n)
end

-- M.span(trace, span) -> the span as JSON's data. trace: {trace_id, tracestate}
function M.span(trace, span)
  return {
    traceId = trace.trace_id, spanId = id(span.id), parentSpanId = span.parent ~= 0 and id(span.parent) or nil,
    traceState = trace.tracestate, name = span.name, kind = KINDS[span.kind or "internal"],
    startTimeUnixNano = ("%d"):format(span.start), endTimeUnixNano = ("%d"):format(math.max(span.start, span.finish)),
    attributes = M.attributes(span.attributes), status = span.failed and { code = ERROR } or {},
  }
end

local function port_of(origin)
  local scheme, rest = origin:match "^(%a+)://(.*)$"
  local host, port = rest:match "^(.-):(%d+)$"
  return (host or rest):gsub("^%[(.*)%]$", "%1"), math.tointeger(tonumber(port)) or (scheme == "https" and 443 or 80)
end

-- M.attempt(record of moongate.span) -> span: an HTTP request as the client's conventions have it.
function M.attempt(a)
  local host, port = port_of(a.url:match "^%a+://[^/]*")
  local attributes = {
    ["http.request.method"] = a.method, ["url.full"] = a.url, ["server.address"] = host, ["server.port"] = port,
    ["http.response.status_code"] = a.status, ["http.request.resend_count"] = a.n > 1 and a.n - 1 or nil,
    ["moongate.http.wait"] = a.wait >= 1000000 and a.wait / 1e9 or nil,
  }
  local failed = a.error ~= nil or (a.status or 0) >= 400
  if failed then attributes["error.type"] = a.error or tostring(a.status) end
  return {
    id = a.id, parent = a.parent, name = a.method, kind = "client", start = a.start, finish = a.start + a.elapsed,
    attributes = attributes, failed = failed,
  }
end

-- M.request(settings, spans) -> ExportTraceServiceRequest as JSON's data. spans: M.span's.
function M.request(settings, spans)
  local resource = {
    ["service.version"] = settings.version, ["telemetry.sdk.name"] = "moongate", ["telemetry.sdk.language"] = "c",
    ["telemetry.sdk.version"] = settings.version,
  }
  for name, value in pairs(settings.resource) do resource[name] = value end
  return {
    resourceSpans = json.array { {
      resource = { attributes = M.attributes(resource) },
      schemaUrl = M.SCHEMA,
      scopeSpans = json.array { {
        scope = { name = "moongate", version = settings.version },
        schemaUrl = M.SCHEMA,
        spans = json.array(spans),
      } },
    } },
  }
end

return M
