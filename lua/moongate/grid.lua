-- grid.lua - tables for a terminal: rows of cells in, lines with aligned columns out.

local M = {}

-- In columns of a terminal, as far as one code point takes one; bytes where the text is not UTF-8.
local function width(text) return utf8.len(text) or #text end

local function no() return false end
local function same(_, _, cell) return cell end

-- M.lines(rows [, {right, paint}]) -> lines. A row is a list of strings; columns are two spaces apart, and no line
-- ends with a space. right(column) -> whether it is aligned to the right; paint(row, column, cell with its spaces) ->
-- what is printed for it.
function M.lines(rows, opts)
  local right, paint = opts and opts.right or no, opts and opts.paint or same
  local widths, lines = {}, {}
  for _, row in ipairs(rows) do
    for i, cell in ipairs(row) do widths[i] = math.max(widths[i] or 0, width(cell)) end
  end
  for n, row in ipairs(rows) do
    local parts = {}
    for i, cell in ipairs(row) do
      local space = (" "):rep(widths[i] - width(cell))
      parts[i] = paint(n, i, right(i) and space .. cell or i < #row and cell .. space or cell)
    end
    lines[n] = table.concat(parts, "  "):gsub(" +$", "")
  end
  return lines
end

return M
