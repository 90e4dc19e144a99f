-- metrics.lua - counters, gauges and histograms, and the forms they leave in: Prometheus text, JSON, a table.
--
--   local seconds = run.metrics:histogram("moongate_prompt_duration_seconds", "Time to an answer.", { "model" })
--   seconds:observe(0.42, "claude")             label values in the order of the names
--   local s = seconds:with("claude")            where it is hot: the series itself,
--   s:observe(0.42)                             which is found once
--
-- A metric takes constant memory for each set of label values, and keeps at most 1,000 sets: what comes beyond counts
-- together under "(other)". Names and units follow Prometheus' conventions; see docs/metrics.md.

local histogram = require "moongate.metrics.histogram"
local labels = require "moongate.metrics.labels"

local M = {}

M.SECONDS, M.BYTES = histogram.SECONDS, histogram.BYTES

-- ---- series: what counts for one set of label values ----

local Counter = {}
local CounterMeta = { __index = Counter }

-- series:add([n]): n >= 0; 1 by default.
function Counter:add(n)
  n = n or 1
  if n ~= n or n < 0 then error("counter: it can't go down", 2) end
  self.value = self.value + n
end

local Gauge = {}
local GaugeMeta = { __index = Gauge }

function Gauge:set(v)
  if type(v) ~= "number" then error("gauge: a value is a number, not a " .. type(v), 2) end
  self.value = v
end

function Gauge:add(n)
  self.value = self.value + (n or 1)
end

-- ---- metrics: series by label values ----

local Metric = {}

-- metric:with(value, …) -> the series.
function Metric:with(...)
  return self._labels:find(...)
end

-- metric:series() -> every series, sorted by label values; series.labels are the values.
function Metric:series()
  return self._labels:sorted()
end

function Metric:add(n, ...)
  self._labels:find(...):add(n)
end

function Metric:set(v, ...)
  self._labels:find(...):set(v)
end

function Metric:observe(v, ...)
  self._labels:find(...):observe(v)
end

-- metric:value(value, …) -> what a counter or gauge stands at; 0 for one that was never touched.
function Metric:value(...)
  local series = self._labels:peek(...)
  return series and series.value or 0
end

-- histogram:summary(value, …) -> {count, sum, avg, p50, p95, p99, min, max}; only count and sum (0) without values.
function Metric:summary(...)
  local series = self._labels:peek(...)
  return series and series:summary() or { count = 0, sum = 0 }
end

local METHODS = {
  counter = { add = true, value = true }, gauge = { add = true, set = true, value = true },
  histogram = { observe = true, summary = true },
}

-- A metric of one type has that type's methods, so that a mistake is told as one.
local function class(type)
  local methods = { with = Metric.with, series = Metric.series }
  for name in pairs(METHODS[type]) do methods[name] = Metric[name] end
  return { __index = methods }
end

local CLASSES = { counter = class "counter", gauge = class "gauge", histogram = class "histogram" }

-- ---- the registry ----

local Registry = {}
local RegistryMeta = { __index = Registry }

-- metrics.new() -> registry. A run has one of its own: run.metrics.
function M.new()
  return setmetatable({ _metrics = {}, _names = {}, _collectors = {} }, RegistryMeta)
end

local RESERVED = { "_total", "_count", "_sum", "_bucket" }

local function check_name(kind, name)
  if type(name) ~= "string" or not name:find "^moongate_%l[%l%d_]*$" then
    error(("metric name %q: expected moongate_<what>_<unit>, in lower case"):format(tostring(name)), 4)
  end
  if kind == "counter" then
    if not name:find "_total$" then error(("counter %s: its name must end in _total"):format(name), 4) end
    return
  end
  for _, suffix in ipairs(RESERVED) do
    if name:sub(-#suffix) == suffix then error(("%s %s: its name can't end in %s"):format(kind, name, suffix), 4) end
  end
  if kind == "histogram" and not (name:find "_seconds$" or name:find "_bytes$" or name:find "_tokens$") then
    error(("histogram %s: its name must end in a unit: _seconds, _bytes or _tokens"):format(name), 4)
  end
end

local function check_labels(name, names)
  for _, label in ipairs(names) do
    if type(label) ~= "string" or not label:find "^%l[%l%d_]*$" or label == "le" then
      error(("metric %s: bad label name %q"):format(name, tostring(label)), 4)
    end
  end
end

local function same_list(a, b)
  return table.concat(a, "\0") == table.concat(b, "\0")
end

local function known(metric, kind, names)
  if metric.type ~= kind or not same_list(metric.labels, names) then
    error(("metric %s already exists, as a %s with the labels {%s}"):format(metric.name, metric.type,
      table.concat(metric.labels, ", ")), 4)
  end
  return metric
end

local function register(self, kind, name, help, names, make, buckets)
  names = names or {}
  local metric = self._metrics[name]
  if metric then return known(metric, kind, names) end
  check_name(kind, name)
  check_labels(name, names)
  if type(help) ~= "string" or help == "" then error(("metric %s: help is missing"):format(name), 3) end
  metric = setmetatable({
    name = name, type = kind, help = help, labels = table.move(names, 1, #names, 1, {}),
    buckets = buckets and table.move(buckets, 1, #buckets, 1, {}),
    _labels = labels.new(names, make),
  }, CLASSES[kind])
  if #names == 0 then metric:with() end -- one that has no labels is there from the start, at 0
  self._metrics[name] = metric
  self._names[#self._names + 1] = name
  return metric
end

local function new_counter() return setmetatable({ value = 0 }, CounterMeta) end
local function new_gauge() return setmetatable({ value = 0 }, GaugeMeta) end

-- registry:counter(name, help [, label names]) -> counter: add(n, value, …), with(value, …), value(value, …).
-- The same name again gives the same metric.
function Registry:counter(name, help, names)
  return register(self, "counter", name, help, names, new_counter)
end

-- registry:gauge(name, help [, label names]) -> gauge: set(v, value, …), add(n, value, …), with(…), value(…).
function Registry:gauge(name, help, names)
  return register(self, "gauge", name, help, names, new_gauge)
end

-- registry:histogram(name, help [, label names [, buckets]]) -> histogram: observe(v, value, …), with(…), summary(…).
-- buckets: the bounds that Prometheus is shown; metrics.SECONDS or metrics.BYTES by the name's unit.
function Registry:histogram(name, help, names, buckets)
  buckets = buckets or tostring(name):find "_seconds$" and M.SECONDS or M.BYTES
  local cuts = histogram.cuts(buckets)
  return register(self, "histogram", name, help, names, function() return histogram.new(cuts) end, buckets)
end

-- registry:on_collect(fn): fn(registry) is called before the metrics are read, to bring in what is counted elsewhere.
function Registry:on_collect(fn)
  self._collectors[#self._collectors + 1] = fn
end

-- registry:watch_http(name, client): the client's attempts (moongate_http_attempts_total …) count under this name.
-- Costs nothing in the loop: the client counts by itself, and is asked when the metrics are read.
function Registry:watch_http(name, client)
  self:on_collect(require("moongate.metrics.http").collector(name, client))
end

-- registry:collect() -> list of metrics, sorted by name.
function Registry:collect()
  for _, fn in ipairs(self._collectors) do fn(self) end
  table.sort(self._names)
  local out = {}
  for i, name in ipairs(self._names) do out[i] = self._metrics[name] end
  return out
end

-- registry:prometheus([job]) -> text exposition format 0.0.4. job: the value of a label `job` on every series.
function Registry:prometheus(job)
  return require("moongate.metrics.prometheus").text(self:collect(), job)
end

-- registry:data() -> the same as plain data, for a JSON document.
function Registry:data()
  return require("moongate.metrics.report").data(self:collect())
end

-- registry:lines() -> the same as lines of a table for people. What was never touched is left out.
function Registry:lines()
  return require("moongate.metrics.report").lines(self:collect())
end

return M
