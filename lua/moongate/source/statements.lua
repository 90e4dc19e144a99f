-- statements.lua - the statements of Lua that begin with a word, for parse.lua: each a function(parser, node) that
-- makes the node of its kind, the word being taken already.
local M = {}

M["if"] = function(p, node)
  node.tag, node.conditions, node.bodies = "If", {}, {}
  repeat
    node.conditions[#node.conditions + 1] = p:expression()
    p:accept "then"
    node.bodies[#node.bodies + 1] = p:scoped()
  until not p:accept "elseif"
  if p:accept "else" then node.bodies[#node.bodies + 1] = p:scoped() end
  p:accept "end"
end

M["while"] = function(p, node)
  node.tag, node.condition = "While", p:expression()
  p:accept "do"
  node.body = p:scoped "end"
end

M["do"] = function(p, node) node.tag, node.body = "Do", p:scoped "end" end

M["for"] = function(p, node)
  local names = {}
  repeat names[#names + 1] = p:next() until not p:accept ","
  node.tag = p:accept "=" and "ForNumber" or "ForIn"
  if node.tag == "ForIn" then p:accept "in" end
  node.values = p:expressions()
  p:accept "do"
  p:open()
  node.decls = {}
  for i, token in ipairs(names) do node.decls[i] = p:declare(token) end
  node.body = p:block "end"
  p:close()
end

M["repeat"] = function(p, node)
  p:open()
  node.tag, node.body = "Repeat", p:block "until"
  node.condition = p:expression() -- sees the block's locals
  p:close()
end

M["function"] = function(p, node)
  local target, is_method = p:name(p:next()), false
  while p:peek "." or p:peek ":" do
    is_method = p:next().text == ":"
    local index = p:node "Index"
    index.object, index.name = target, p:next().text
    target = index
  end
  if target.tag == "Name" and target.decl then target.decl.assigned = true end
  node.tag, node.targets = "Assign", { target }
  node.values = { p:body({ tag = "Function", line = node.line, column = node.column }, is_method) }
end

M["local"] = function(p, node)
  node.tag = "Local"
  if p:accept "function" then
    local decl = p:declare(p:next())
    decl.value, decl.index = { tag = "Function", line = node.line, column = node.column }, 1
    node.decls, node.values = { decl }, { p:body(decl.value) }
    return
  end
  local names = {}
  repeat
    names[#names + 1] = p:next()
    if p:accept "<" then -- an attribute
      p:next()
      p:accept ">"
    end
  until not p:accept ","
  node.values = p:accept "=" and p:expressions() or {}
  node.decls = {}
  for i, token in ipairs(names) do
    local n = #node.values
    local value = node.values[math.min(i, n)]
    node.decls[i] = p:declare(token, { value = value, index = i < n and 1 or i - n + 1 })
  end
end

M["return"] = function(p, node)
  node.tag, node.values = "Return", {}
  if not p:at_block_end() and not p:peek ";" then node.values = p:expressions() end
end

M["break"] = function(_, node) node.tag = "Break" end
M["goto"] = function(p, node)
  node.tag = "Goto"
  p:next()
end

return M
