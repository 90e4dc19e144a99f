-- labels.lua - from label values to the series that counts for them. A tree, a level a label, so that finding one
-- makes no string and can't take one set of values for another. For metrics.lua only.

local M = {}

local MAX_SETS = 1000   -- label sets of one metric; what is beyond counts together, in a series of its own
local REST = "(other)"  -- every label's value there

local Labels = {}
local LabelsMeta = { __index = Labels }

-- M.new(names, make) -> label sets. make(values) -> the series for a new one.
function M.new(names, make)
  return setmetatable({ names = names, make = make, root = {}, series = {}, count = 0 }, LabelsMeta)
end

local function text(value)
  if value == nil then return "" end
  return tostring(value)
end

function Labels:_add(values)
  local series = self.make(values)
  series.labels = values
  self.series[#self.series + 1] = series
  return series
end

local function rest(self)
  if not self.overflow then
    local values = {}
    for i = 1, #self.names do values[i] = REST end
    self.overflow = self:_add(values)
  end
  return self.overflow
end

-- The series for these values (strings, numbers, booleans; nil is ""), made when it is not there yet.
function Labels:find(...)
  local n = #self.names
  if select("#", ...) > n then
    error(("expected %d label values, got %d"):format(n, select("#", ...)), 3)
  end
  local node, values = self.root, { ... }
  for i = 1, n do
    local value = values[i]
    if type(value) ~= "string" then value = text(value) end
    values[i] = value
    local below = node[value]
    if not below then
      if self.count >= MAX_SETS then return rest(self) end
      below = i < n and {} or false
    end
    if not below then
      self.count = self.count + 1
      below = self:_add(values)
    end
    node[value] = below
    node = below
  end
  if n == 0 and not self.only then self.only = self:_add {} end
  return n == 0 and self.only or node
end

-- The series there is for these values, or nil.
function Labels:peek(...)
  if #self.names == 0 then return self.only end
  local node = self.root
  for i = 1, #self.names do
    node = node and node[text((select(i, ...)))]
  end
  return node
end

-- All of them, sorted by their labels' values.
function Labels:sorted()
  local list = table.move(self.series, 1, #self.series, 1, {})
  table.sort(list, function(a, b)
    for i = 1, #self.names do
      if a.labels[i] ~= b.labels[i] then return a.labels[i] < b.labels[i] end
    end
    return false
  end)
  return list
end

return M
