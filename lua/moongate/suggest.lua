-- suggest.lua - "did you mean": the nearest of some names by edit distance (a swap of neighbours counts as one).
-- No methods on strings: it also runs beside the project file, where they are taken away.
local byte, lower = string.byte, string.lower

local M = {}

local function distance(a, b)
  local before, row, next_row = {}, {}, {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    next_row[0] = i
    for j = 1, #b do
      local cost = byte(a, i) == byte(b, j) and 0 or 1
      local best = math.min(row[j] + 1, next_row[j - 1] + 1, row[j - 1] + cost)
      if i > 1 and j > 1 and byte(a, i) == byte(b, j - 1) and byte(a, i - 1) == byte(b, j) then
        best = math.min(best, before[j - 2] + 1)
      end
      next_row[j] = best
    end
    before, row, next_row = row, next_row, {}
  end
  return row[#b]
end

-- The name nearest to `word`, or nil when none is near (a third of its length, at least one edit).
function M.near(word, names)
  if #word > 64 then return nil end
  local best, best_distance = nil, math.max(1, #word // 3) + 1
  for _, name in ipairs(names) do
    local d = distance(lower(word), lower(name))
    if d < best_distance or (d == best_distance and best and name < best) then best, best_distance = name, d end
  end
  return best
end

-- " (did you mean 'x'?)" or "".
function M.hint(word, names, prefix)
  local name = M.near(word, names)
  return name and string.format(" (did you mean '%s%s'?)", prefix or "", name) or ""
end

return M
