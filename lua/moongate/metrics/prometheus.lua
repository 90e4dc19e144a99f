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

-- {a="x",b="y"}; more: one pair that comes last.
local function label_set(names, values, more)
  local parts = {}
  for i, name in ipairs(names) do
    parts[i] = ('%s="%s"'):format(name, utf8_text(values[i]):gsub('[\\\n"]', VALUE))
  end
  parts[#parts + 1] = more
  if #parts == 0 then return "" end
  return "{" .. table.concat(parts, ",") .. "}"
end

local function put_histogram(out, metric, series)
  local counts = series:cumulative(metric.buckets)
  local function bucket(bound, count)
    local set = label_set(metric.labels, series.labels, ('le="%s"'):format(bound))
    out[#out + 1] = ("%s_bucket%s %d"):format(metric.name, set, count)
  end
  for i, bound in ipairs(metric.buckets) do bucket(number(bound), counts[i]) end
  bucket("+Inf", series.count)
  local set = label_set(metric.labels, series.labels)
  out[#out + 1] = ("%s_sum%s %s"):format(metric.name, set, number(series.sum))
  out[#out + 1] = ("%s_count%s %d"):format(metric.name, set, series.count)
end

local function put_metric(out, metric)
  local all = metric:series()
  if #all == 0 then return end
  out[#out + 1] = ("# HELP %s %s"):format(metric.name, utf8_text(metric.help):gsub("[\\\n]", HELP))
  out[#out + 1] = ("# TYPE %s %s"):format(metric.name, metric.type)
  for _, series in ipairs(all) do
    if metric.type == "histogram" then
      put_histogram(out, metric, series)
    else
      out[#out + 1] = ("%s%s %s"):format(metric.name, label_set(metric.labels, series.labels), number(series.value))
    end
  end
end

-- M.text(metrics) -> the text; ends in a line break.
function M.text(metrics)
  local out = {}
  for _, metric in ipairs(metrics) do put_metric(out, metric) end
  out[#out + 1] = ""
  return table.concat(out, "\n")
end

return M
