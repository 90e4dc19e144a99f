-- text_diff.lua - what differs between two texts, line by line, for people. For template.lua.

local M = {}

local MAX_CELLS = 1000000 -- of the table of common subsequences; beyond it the middle counts as replaced
local CONTEXT = 2

local function lines_of(text)
  local lines = {}
  for line in (text .. "\n"):gmatch("(.-)\n") do lines[#lines + 1] = line end
  return lines
end

-- length[i][j]: the longest common subsequence of a[i…], b[j…].
local function common(a, b)
  local length = {}
  for i = #a + 1, 1, -1 do
    length[i] = {}
    for j = #b + 1, 1, -1 do
      if i > #a or j > #b then
        length[i][j] = 0
      elseif a[i] == b[j] then
        length[i][j] = length[i + 1][j + 1] + 1
      else
        length[i][j] = math.max(length[i + 1][j], length[i][j + 1])
      end
    end
  end
  return length
end

-- The middle of two lists, edited: {sign, line} with sign "-", "+" or " ".
local function edited(a, b)
  local out, i, j = {}, 1, 1
  local length = #a * #b <= MAX_CELLS and common(a, b)
  while i <= #a or j <= #b do
    if length and i <= #a and j <= #b and a[i] == b[j] then
      out[#out + 1] = { " ", a[i] }
      i, j = i + 1, j + 1
    elseif i <= #a and (j > #b or not length or length[i + 1][j] >= length[i][j + 1]) then
      out[#out + 1] = { "-", a[i] }
      i = i + 1
    else
      out[#out + 1] = { "+", b[j] }
      j = j + 1
    end
  end
  return out
end

-- M.lines(from, to) -> list of lines: "- old", "+ new", and "  " for a few that stay around them; empty when the texts
-- are equal. from nil: nothing was there.
function M.lines(from, to)
  if from == to then return {} end
  local a, b = from and lines_of(from) or {}, lines_of(to)
  local head = 0
  while head < #a and head < #b and a[head + 1] == b[head + 1] do head = head + 1 end
  local tail = 0
  while tail < #a - head and tail < #b - head and a[#a - tail] == b[#b - tail] do tail = tail + 1 end
  local out = {}
  for n = math.max(1, head - CONTEXT + 1), head do out[#out + 1] = "  " .. a[n] end
  for _, edit in ipairs(edited(table.move(a, head + 1, #a - tail, 1, {}), table.move(b, head + 1, #b - tail, 1, {}))) do
    out[#out + 1] = edit[1] .. " " .. edit[2]
  end
  for n = #a - tail + 1, math.min(#a, #a - tail + CONTEXT) do out[#out + 1] = "  " .. a[n] end
  return out
end

return M
