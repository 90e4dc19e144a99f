-- merged.lua - merged(table | nil, …) -> a new table with the fields of all; later ones replace earlier ones. Not deep.

return function(...)
  local out = {}
  for i = 1, select("#", ...) do
    for name, value in pairs((select(i, ...)) or {}) do out[name] = value end
  end
  return out
end
