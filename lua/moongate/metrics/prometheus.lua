-- prometheus.lua - metrics as Prometheus' text exposition format, version 0.0.4:
-- https://prometheus.io/docs/instrumenting/exposition_formats/. For metrics.lua only.

local M = {}

M.CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

local HELP = { ["\\"] = "\\\\", ["\n"] = "\\n" }
local VALUE = { ["\\"] = "\\\\", ["\n"] = "\\n", ['"'] = '\\"' }

-- The format is UTF-8; what is none is shown byte by byte.
local function utf8_text(s)
  if utf8.len(s) then return s end
  return (s:gsub("[\128-\255]", function(c) return ("\\x%02x"):format(c:byte()) end))
end

local function number(v)
  if math.type(v) == "integer" then return ("%d"):format(v) end
  if v ~= v then return "NaN" end
  if v == math.huge then return "+Inf" end
  if v == -math.huge then return "-Inf" end
  local short = ("%.15g"):format(v)
  return tonumber(short) == v and short or ("%.17g"):format(v)
end

local function pair(name, value)
  return ('%s="%s"'):format(name, (utf8_text(value):gsub('[\\\n"]', VALUE)))
end

-- {job="j",a="x",b="y"}; more: one pair that comes last. A job label of the metric's own stays.
local function label_set(job, names, values, more)
  local parts, own = {}, false
  for i, name in ipairs(names) do
    parts[i], own = pair(name, values[i]), own or name == "job"
  end
  if job and not own then table.insert(parts, 1, pair("job", job)) end
  parts[#parts + 1] = more
  if #parts == 0 then return "" end
  return "{" .. table.concat(parts, ",") .. "}"
end

local function put_histogram(out, metric, series, job)
  local counts = series:cumulative(metric.buckets)
  local function bucket(bound, count)
    local set = label_set(job, metric.labels, series.labels, ('le="%s"'):format(bound))
    out[#out + 1] = ("%s_bucket%s %d"):format(metric.name, set, count)
  end
  for i, bound in ipairs(metric.buckets) do bucket(number(bound), counts[i]) end
  bucket("+Inf", series.count)
  local set = label_set(job, metric.labels, series.labels)
  out[#out + 1] = ("%s_sum%s %s"):format(metric.name, set, number(series.sum))
  out[#out + 1] = ("%s_count%s %d"):format(metric.name, set, series.count)
end

local function put_metric(out, metric, job)
  local all = metric:series()
  if #all == 0 then return end
  out[#out + 1] = ("# HELP %s %s"):format(metric.name, utf8_text(metric.help):gsub("[\\\n]", HELP))
  out[#out + 1] = ("# TYPE %s %s"):format(metric.name, metric.type)
  for _, series in ipairs(all) do
    if metric.type == "histogram" then
      put_histogram(out, metric, series, job)
    else
      out[#out + 1] = ("%s%s %s"):format(metric.name, label_set(job, metric.labels, series.labels),
        number(series.value))
    end
  end
end

-- M.text(metrics [, job]) -> the text; ends in a line break. job: the value of a label on every series, so that no
-- series is in two jobs' files: node_exporter drops one of those.
function M.text(metrics, job)
  local out = {}
  for _, metric in ipairs(metrics) do put_metric(out, metric, job) end
  out[#out + 1] = ""
  return table.concat(out, "\n")
end

return M
