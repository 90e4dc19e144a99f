-- report.lua - metrics as data for a JSON document, and as a table for people. For metrics.lua and
-- router/models.lua only.

local grid = require "moongate.grid"
local json = require "moongate.json"
local time = require "moongate.time"

local M = {}

local function finite(v)
  return v == v and v ~= math.huge and v ~= -math.huge and v or json.null
end

local function labels_of(metric, series)
  local out = {}
  for i, name in ipairs(metric.labels) do out[name] = series.labels[i] end
  return out
end

-- M.data(metrics) -> {[name] = {type, help, series = {{labels, value} | {labels, count, sum, avg, p50, …}}}}
function M.data(metrics)
  local out = {}
  for _, metric in ipairs(metrics) do
    local list = json.array {}
    for i, series in ipairs(metric:series()) do
      local entry = metric.type == "histogram" and series:summary() or { value = finite(series.value) }
      entry.labels = labels_of(metric, series)
      list[i] = entry
    end
    if #list > 0 then out[metric.name] = { type = metric.type, help = metric.help, series = list } end
  end
  return out
end

-- ---- a table ----

-- M.seconds(s) -> "420 ms", in three digits and the unit that suits.
function M.seconds(s)
  if s == nil then return "" end
  if s >= 100 then return ("%.0f s"):format(s) end
  if s >= 0.9995 then return ("%.3g s"):format(s) end
  if s >= 0.0009995 then return ("%.3g ms"):format(s * 1e3) end
  return ("%.3g us"):format(s * 1e6)
end

local function plain(v)
  if v == nil then return "" end
  if math.type(v) == "float" and v == v // 1 and math.abs(v) < 1e15 then v = math.tointeger(v) end
  return math.type(v) == "integer" and ("%d"):format(v) or ("%.6g"):format(v)
end

local function after_first(column) return column > 1 end

-- M.grid(rows) -> lines: columns aligned, the first to the left, all others to the right.
function M.grid(rows) return grid.lines(rows, { right = after_first }) end

-- Control characters of a label's value can't move the cursor.
local function name_of(metric, series)
  local parts = {}
  for i, label in ipairs(metric.labels) do
    parts[i] = ("%s=%s"):format(label, (series.labels[i]:gsub("[%c\127]", "?")))
  end
  return metric.name:gsub("^moongate_", "") .. (#parts > 0 and "{" .. table.concat(parts, ",") .. "}" or "")
end

-- M.latency_cells(summary [, show]) -> count, avg, p50, p95, p99, min, max as cells of a row.
function M.latency_cells(s, show)
  show = show or M.seconds
  return { plain(s.count), show(s.avg), show(s.p50), show(s.p95), show(s.p99), show(s.min), show(s.max) }
end

local HEAD = { "count", "avg", "p50", "p95", "p99", "min", "max" }

-- M.lines(metrics) -> lines. What was never touched is left out.
function M.lines(metrics)
  local counts, spreads = {}, {}
  for _, metric in ipairs(metrics) do
    for _, series in ipairs(metric:series()) do
      if metric.type == "histogram" and series.count > 0 then
        local show = metric.name:find "_seconds$" and M.seconds or plain
        spreads[#spreads + 1] = { name_of(metric, series), table.unpack(M.latency_cells(series:summary(), show)) }
      elseif metric.type ~= "histogram" and (series.value ~= 0 or #metric.labels > 0) then
        local show = metric.name:find "_timestamp_seconds$" and time.iso or plain
        counts[#counts + 1] = { name_of(metric, series), show(series.value) }
      end
    end
  end
  local lines = M.grid(counts)
  if #spreads > 0 then
    local cells = M.grid { { "", table.unpack(HEAD) }, table.unpack(spreads) }
    table.move(cells, 1, #cells, #lines + 1, lines)
  end
  return lines
end

return M
