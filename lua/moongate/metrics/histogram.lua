-- histogram.lua - one distribution: count, sum, min and max exact, percentiles from buckets on a logarithmic scale.
--
-- Bucket i holds g^i <= v < g^(i+1) with g = (1 + E) / (1 - E), E = 1 %. A percentile is answered with the value that
-- is at most E away, relatively, from everything in its bucket, and never beyond min and max: so it is within 1 % of
-- the value that stands at its place in the sorted list (nearest rank). Values below 1 ns count as 0, those above
-- 10^15 as 10^15: at most 2,800 buckets, however many values come.
--
-- The coarse buckets that Prometheus is shown (`le`) are exact: a fine bucket that a bound cuts is kept in two halves.

local M = {}

local log, huge = math.log, math.huge

local E <const> = 0.01
local GROWTH = (1 + E) / (1 - E)
local SCALE = 1 / log(GROWTH)
local LEAST <const>, MOST <const> = 1e-9, 1e15
local ZERO <const> = -1e6 -- the bucket of what is too small for the scale; before all others
local HALF <const> = 0.5  -- added to the bucket of what is above the bound that cuts it

local Histogram = {}
local HistogramMeta = { __index = Histogram }

-- In seconds; what a request to a gateway takes, up to the two minutes a job may.
M.SECONDS = { 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120 }
M.BYTES = { 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864 }

-- Which fine buckets the bounds cut, and where. Shared by all series of a metric.
function M.cuts(bounds)
  local cuts = {}
  for i, bound in ipairs(bounds) do
    if type(bound) ~= "number" or bound <= (bounds[i - 1] or 0) or bound >= MOST then
      error("histogram: buckets are numbers above 0, in rising order", 3)
    end
    local bucket = log(bound) * SCALE // 1
    if cuts[bucket] then error("histogram: two buckets are within 2 % of each other", 3) end
    cuts[bucket] = bound
  end
  return cuts
end

function M.new(cuts)
  return setmetatable({ cuts = cuts, buckets = {}, count = 0, sum = 0, min = huge, max = -huge }, HistogramMeta)
end

-- series:observe(v): v >= 0, in the metric's unit.
function Histogram:observe(v)
  if v ~= v or v < 0 then error("histogram: a value is a number from 0 on", 2) end
  local bucket = ZERO
  if v >= LEAST then
    bucket = log(v < MOST and v or MOST) * SCALE // 1
    local cut = self.cuts[bucket]
    if cut and v > cut then bucket = bucket + HALF end
  end
  local buckets = self.buckets
  buckets[bucket] = (buckets[bucket] or 0) + 1
  self.count = self.count + 1
  self.sum = self.sum + v
  if v < self.min then self.min = v end
  if v > self.max then self.max = v end
end

local function ordered(self)
  local keys = {}
  for bucket in pairs(self.buckets) do keys[#keys + 1] = bucket end
  table.sort(keys)
  return keys
end

local function middle(bucket)
  if bucket == ZERO then return 0.0 end
  return 2 * GROWTH ^ (bucket // 1 + 1) / (GROWTH + 1)
end

-- series:quantiles(q, …) -> the value at each, q between 0 and 1 in rising order; nil when there is none.
function Histogram:quantiles(...)
  local out, keys = {}, ordered(self)
  local at, below = 0, 0
  for i, q in ipairs { ... } do
    local rank = math.max(1, math.ceil(q * self.count))
    while at < #keys and below < rank do
      at = at + 1
      below = below + self.buckets[keys[at]]
    end
    out[i] = keys[at] and math.min(self.max, math.max(self.min, middle(keys[at]))) or nil
  end
  return table.unpack(out)
end

-- series:summary() -> {count, sum, avg, min, max, p50, p95, p99}; only count and sum when nothing was observed.
function Histogram:summary()
  if self.count == 0 then return { count = 0, sum = 0 } end
  local p50, p95, p99 = self:quantiles(0.5, 0.95, 0.99)
  return {
    count = self.count, sum = self.sum, avg = self.sum / self.count, min = self.min, max = self.max,
    p50 = p50, p95 = p95, p99 = p99,
  }
end

-- series:cumulative(bounds) -> for each bound, how many values are at most that.
function Histogram:cumulative(bounds)
  local out, keys, at, sum = {}, ordered(self), 1, 0
  for i, bound in ipairs(bounds) do
    local bucket = log(bound) * SCALE // 1
    while keys[at] and keys[at] <= bucket do
      sum = sum + self.buckets[keys[at]]
      at = at + 1
    end
    out[i] = sum
  end
  return out
end

return M
