---@meta moongate.metrics

---Counters, gauges and histograms, and the forms they leave in: Prometheus text, JSON, a table. A run has a registry of
---its own, run.metrics. See docs/metrics.md.
---@class moongate.metrics
---@field SECONDS number[] buckets
---@field BYTES number[]
local metrics = {}

---@return moongate.metrics.registry registry
function metrics.new() end

---@class moongate.metrics.registry
local registry = {}

---@param name string
---@param help string
---@param labels? string[]
---@return moongate.metrics.metric metric the same name gives the same one
function registry:counter(name, help, labels) end

---@param name string
---@param help string
---@param labels? string[]
---@return moongate.metrics.metric metric
function registry:gauge(name, help, labels) end

---@param name string
---@param help string
---@param labels? string[]
---@param buckets? number[] (default: by the name's unit)
---@return moongate.metrics.metric metric
function registry:histogram(name, help, labels, buckets) end

---fn(registry) is called before the metrics are read.
---@param fn fun(registry: moongate.metrics.registry)
function registry:on_collect(fn) end

---The client's attempts count under this name.
---@param name string
---@param client moongate.http.client
function registry:watch_http(name, client) end

---@return table[] metrics sorted by name
function registry:collect() end

---@param job? string value of a label `job` on every series: whose they are, where several jobs' files lie in one folder
---@return string text Prometheus' exposition format
function registry:prometheus(job) end

---@return table data for a JSON document
function registry:data() end

---@return string[] lines of a table for people
function registry:lines() end

---@class moongate.metrics.metric
local metric = {}

---The series of these label values; where it is hot, found once.
---@param ... string
---@return table series :add(n), :set(v), :observe(v)
function metric:with(...) end

---@return table[] series sorted by label values
function metric:series() end

---@param n? number (default 1)
---@param ... string label values
function metric:add(n, ...) end

---@param v number
---@param ... string label values
function metric:set(v, ...) end

---@param v number
---@param ... string label values
function metric:observe(v, ...) end

---@param ... string label values
---@return number value of a counter or gauge
function metric:value(...) end

---@param ... string label values
---@return {count: integer, sum: number, avg: number?, min: number?, max: number?, p50: number?, p95: number?, p99: number?} summary of a histogram
function metric:summary(...) end

return metrics
