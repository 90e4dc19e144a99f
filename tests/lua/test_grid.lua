-- Aligned tables for a terminal.
local grid = require "moongate.grid"
local t = require "moongate.test"

t.test("columns are aligned by characters, two spaces apart, without spaces at the end", function()
  t.eq(grid.lines { { "ID", "NAME", "" }, { "1", "größer", "x" }, { "long", "b" } },
    { "ID    NAME", "1     größer  x", "long  b" })
  t.eq(grid.lines {}, {})
end)

t.test("columns to the right, and cells that are painted after they are padded", function()
  local lines = grid.lines({ { "a", "1" }, { "bb", "22" } }, {
    right = function(column) return column == 2 end,
    paint = function(row, column, cell) return row == 2 and column == 1 and "<" .. cell .. ">" or cell end,
  })
  t.eq(lines, { "a    1", "<bb>  22" })
end)
