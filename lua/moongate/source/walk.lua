-- walk.lua - every node of a tree that parse.lua has made.
local CHILDREN = {
  Function = { "body" }, Paren = { "value" }, Operation = { "parts" }, Index = { "object", "key" },
  Call = { "fn", "args" }, Method = { "object", "args" }, Item = { "key", "value" }, Table = { "items" },
  Local = { "values" }, Assign = { "targets", "values" }, Do = { "body" }, While = { "condition", "body" },
  Repeat = { "body", "condition" }, ForNumber = { "values", "body" }, ForIn = { "values", "body" },
  Return = { "values" }, If = {},
}

-- walk(node or list, visit): visit(node) for each in source order, those inside after those around; visit returns
-- false to leave a node's inside out.
local function walk(node, visit)
  if not node.tag then
    for _, child in ipairs(node) do walk(child, visit) end
    return
  end
  if visit(node) == false then return end
  if node.tag == "If" then
    for i, body in ipairs(node.bodies) do
      if node.conditions[i] then walk(node.conditions[i], visit) end
      walk(body, visit)
    end
    return
  end
  for _, name in ipairs(CHILDREN[node.tag] or {}) do
    if node[name] then walk(node[name], visit) end
  end
end

return walk
