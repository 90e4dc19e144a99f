-- trace.lua - spans: named parts of a run, one inside the other, for an OpenTelemetry collector.
--
-- Off unless the environment says where to (trace/environment.lua); then a span costs a call and nothing else. The span
-- that a task is in lies in the task, and its children begin in it; every HTTP attempt is recorded by the client itself
-- (src/net/http_trace.c), below the span of the task that sent it. For trusted code; a script has run:span.

local native = require "moongate.span"

local M = {}

local NO_SPAN = { id = 0, set = function() end, content = function() end, fail = function() end }

local tracer -- the session's; nil: nobody traces

-- ---- one span ----

local Span = {}
local SpanMeta = { __index = Span }

-- span:set(name, value): an attribute: a string, number, boolean, or a list of one of these. nil: nothing.
function Span:set(name, value)
  self.attributes[name] = value
end

-- span:content(name, value): the same, for what may hold a prompt, an answer or a body: kept under --trace-content
-- only. value: a function is called for it then.
function Span:content(name, value)
  if not tracer or not tracer.content then return end
  if type(value) == "function" then value = value() end
  self.attributes[name] = value
end

-- span:fail(reason): it failed, though nothing is raised. reason: a code or status, no sentence.
function Span:fail(reason)
  self.failed = true
  self.attributes["error.type"] = tostring(reason)
end

-- What failed, by its code: a message may quote what nobody asked to have in a trace.
local function reason_of(err)
  if type(err) == "table" then return err.status or err.code or "failed" end
  return err == nil and "cancelled" or "script"
end

-- Also when the task is closed in the middle of it.
function SpanMeta.__close(self, err)
  native.enter(self.before)
  self.finish = native.now()
  if not self.ended then self:fail(reason_of(err)) end
  if tracer then tracer:add(self) end
end

local function ended(span, ...)
  span.ended = true
  return ...
end

local function open(name, attributes, kind, parent, id)
  local span = setmetatable({
    id = id or native.id(), parent = parent or native.current(), name = name, kind = kind, attributes = {},
    start = native.now(),
  }, SpanMeta)
  for key, value in pairs(attributes or {}) do span.attributes[key] = value end
  span.before = native.enter(span.id)
  return span
end

local function within(span, fn)
  local here <close> = span
  return ended(here, fn(here))
end

-- trace.span(name, attributes, fn [, kind = "internal"]) -> what fn(span) returns; what it raises goes on. kind:
-- "internal", or "client" for what asks another system.
function M.span(name, attributes, fn, kind)
  if not tracer then return fn(NO_SPAN) end
  return within(open(name, attributes, kind), fn)
end

-- trace.on() -> whether spans go anywhere.
function M.on()
  return tracer ~= nil
end

-- ---- a run ----

-- trace.run(name, fn, opts) -> what fn() returns. The whole of a run, as the span that all others are in: reads the
-- environment, sends what the spans became, and waits for that a moment at the end. What fails in this is a warning.
--   opts: getenv(name) -> string | nil; content = --trace-content; version = moongate's; log
function M.run(name, fn, opts)
  local settings = require("moongate.trace.environment").read(opts.getenv, opts.log)
  if not settings then return fn() end
  local root = settings.record and native.id() or settings.parent
  assert(native.start {
    trace_id = settings.trace_id, root = root, sampled = settings.sampled, record = settings.record,
    tracestate = settings.tracestate, queue = settings.queue,
  })
  if not settings.record then
    local _ <close> = setmetatable({}, { __close = native.stop })
    return fn()
  end
  settings.content, settings.version, settings.log = opts.content, opts.version, opts.log
  tracer = require("moongate.trace.exporter").new(settings)
  local _ <close> = setmetatable({}, { __close = function()
    tracer = nil
    native.stop()
  end })
  tracer.root = open(name, nil, nil, settings.parent, root)
  local results = table.pack(pcall(within, tracer.root, fn))
  tracer:shutdown()
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

-- trace.describe(name | nil, attributes): more of what the run is, once it is known.
function M.describe(name, attributes)
  if not tracer then return end
  tracer.root.name = name or tracer.root.name
  for key, value in pairs(attributes) do tracer.root:set(key, value) end
end

-- trace.fail(reason): the run failed, though it raised nothing. reason: as for span:fail.
function M.fail(reason)
  if tracer then tracer.root:fail(reason) end
end

return M
