-- grid.lua - tables for a terminal: rows of cells in, lines with aligned columns out.

local M = {}

-- In columns of a terminal, as far as one code point takes one; bytes where the text is not UTF-8.
local function width(text) return utf8.len(text) or #text end

-- M.lines(rows [, {right = function(column) -> whether it is aligned to the right}]) -> lines. A row is a list of
-- strings; columns are two spaces apart, and no line ends with a space.
function M.lines(rows, opts)
  local right = opts and opts.right or function() return false end
  local widths, lines = {}, {}
  for _, row in ipairs(rows) do
    for i, cell in ipairs(row) do widths[i] = math.max(widths[i] or 0, width(cell)) end
  end
  for n, row in ipairs(rows) do
    local parts = {}
    for i, cell in ipairs(row) do
      local space = (" "):rep(widths[i] - width(cell))
      parts[i] = right(i) and space .. cell or cell .. space
    end
    lines[n] = table.concat(parts, "  "):gsub(" +$", "")
  end
  return lines
end

return M
