-- globals.lua - which global names a chunk reads and writes. The chunk must have passed load().
local walk = require "moongate.source.walk"

local M = {}

local ENVIRONMENTS = { _G = true, _ENV = true }

local function is_environment(node)
  return node.tag == "Name" and ENVIRONMENTS[node.name] and not node.decl
end

-- M.scan(tree) -> {reads = {node}, writes = {node}, opaque}; opaque: the chunk handles its environment as a value, so
-- that names may be defined out of sight. A node has name, line, column.
function M.scan(tree)
  local found = { reads = {}, writes = {}, opaque = false }
  local written, passed = {}, {} -- nodes that are targets; environments that are only looked into
  walk(tree, function(node)
    if node.tag == "Assign" then
      for _, target in ipairs(node.targets) do written[target] = true end
    elseif node.tag == "Index" and is_environment(node.object) and node.name and not node.key then
      passed[node.object] = true -- `_G.x` and `_ENV.x` are the global x
      if written[node] then table.insert(found.writes, node) end
    elseif is_environment(node) then
      if not passed[node] then found.opaque = true end
    elseif node.tag == "Name" and not node.decl and not node.unknown then
      table.insert(written[node] and found.writes or found.reads, node)
    end
  end)
  return found
end

-- The reads of names that neither `known` (a set) nor the chunk itself defines, in order of appearance.
function M.unknown(tree, known)
  local found = M.scan(tree)
  if found.opaque then return {} end
  local defined = {}
  for _, node in ipairs(found.writes) do defined[node.name] = true end
  local unknown = {}
  for _, node in ipairs(found.reads) do
    if not known[node.name] and not defined[node.name] then unknown[#unknown + 1] = node end
  end
  table.sort(unknown, function(a, b) return a.line < b.line or (a.line == b.line and a.column < b.column) end)
  return unknown
end

return M
