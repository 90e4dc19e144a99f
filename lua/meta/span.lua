---@meta moongate.span
---@private

---Traces, as the program beneath them has them: the session's trace context, the span that a task is in, and the HTTP
---attempts that have ended. Private: a script has `run:span`; see moongate/trace.lua.
---
---A span id is a 64-bit integer; 0 means no span.
---@class moongate.span
local span = {}

---@class moongate.span.start_options
---@field trace_id string 32 hex digits
---@field root integer parent of what names none; without `record`, what goes out as it is
---@field sampled? boolean the flag of `traceparent`
---@field record? boolean attempts are spans of their own, and kept until they are taken
---@field tracestate? string sent along
---@field queue? integer attempts kept, at most (default 2048); what comes beyond is counted and lost

---From here on every request of the session carries `traceparent`, but those of clients with `trace = false`.
---@param options moongate.span.start_options
---@return true? ok
---@return moongate.error? err invalid: a tracestate that is not a header value
function span.start(options) end

---The end of it; what was not taken is forgotten.
function span.stop() end

---@return integer id random, never from a seed
function span.id() end

---@return string trace_id 32 hex digits, random
function span.trace_id() end

---Puts the current task into a span; tasks that it spawns begin there.
---@param id integer
---@return integer before the span it was in
function span.enter(id) end

---@return integer id of the span that the current task is in; 0: none
function span.current() end

---@return integer nanoseconds since 1970
function span.now() end

---@class moongate.span.attempt
---@field id integer
---@field parent integer
---@field n integer its number in its call, from 1
---@field method string
---@field url string without the query, at most 511 bytes
---@field status? integer of the answer
---@field error? string why it failed
---@field start integer nanoseconds since 1970
---@field elapsed integer nanoseconds
---@field wait integer nanoseconds waited before it

---Takes the oldest attempts that have ended.
---@param max? integer
---@return moongate.span.attempt[] attempts
---@return integer lost since the start
function span.attempts(max) end

---@return integer count of attempts that `attempts` would give
function span.waiting() end

---@param text string
---@return string text without the secrets that are known
function span.clean(text) end

---The headers that a variable such as OTEL_EXPORTER_OTLP_HEADERS holds, "name=value,name=value".
---@param variable string
---@return table<string, moongate.secret.handle> headers
function span.headers(variable) end

return span
