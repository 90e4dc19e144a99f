-- text.lua - plain text for people: wrapping, columns, plurals.
local host = require "moongate.host"

local M = {}

-- Columns that help is laid out for: COLUMNS, else the terminal's, else 80; from 40 to 100.
function M.width()
  local width = math.tointeger(tonumber(host.getenv "COLUMNS" or "")) or host.width(1) or 80
  return math.max(40, math.min(width, 100))
end

-- One paragraph -> array of lines of at most `width` characters.
function M.wrap(text, width)
  local lines, line = {}, nil
  for word in text:gmatch("%S+") do
    local longer = line and line .. " " .. word or word
    if line and utf8.len(longer) > width then
      lines[#lines + 1] = line
      line = word
    else
      line = longer
    end
  end
  lines[#lines + 1] = line
  return lines
end

-- {left, right} pairs -> text in two columns, the right one wrapped; a left part that is too long for its column is
-- a line by itself. least: columns that the left one has at least.
function M.columns(rows, indent, least)
  local width = M.width()
  local widest, column = width // 4 + 2, least or 0
  for _, row in ipairs(rows) do column = math.max(column, #row[1] <= widest and #row[1] or 0) end
  local out, pad = {}, (" "):rep(indent)
  for _, row in ipairs(rows) do
    local lines = M.wrap(row[2] or "", width - indent - column - 2)
    if #row[1] > column or #lines == 0 then
      out[#out + 1] = pad .. row[1]
    else
      out[#out + 1] = ("%s%-" .. column .. "s  %s"):format(pad, row[1], table.remove(lines, 1))
    end
    for _, line in ipairs(lines) do out[#out + 1] = (" "):rep(indent + column + 2) .. line end
  end
  return table.concat(out, "\n")
end

-- The first `width` characters of a line: a longer one would wrap.
function M.cut(line, width)
  local stop = utf8.offset(line, width + 1)
  return stop and line:sub(1, stop - 1) or line
end

-- 1, "file" -> "1 file"; 2 -> "2 files". plural: where an "s" does not make it.
function M.count(n, noun, plural) return ("%d %s"):format(n, n == 1 and noun or plural or noun .. "s") end

-- Seconds, for people: "0.3 s", "12 s", "2 min 5 s".
function M.seconds(s)
  if s < 10 then return ("%.1f s"):format(s) end
  if s < 60 then return ("%d s"):format(math.floor(s + 0.5)) end
  if s < 3600 then return ("%d min %d s"):format(s // 60, s % 60 // 1) end
  return ("%d h %d min"):format(s // 3600, s % 3600 // 60)
end

return M
