-- parse.lua - a chunk as a tree, names bound to what declares them. The chunk must have passed load(), so a construct
-- that is not understood can't happen and no error is ever raised for one.
--
-- Every node has tag, line, column. Expressions:
--   Constant {value}  (nil, true, false, numbers)   String {value}   Vararg   Function {params = {decl}, body, method}
--   Table {items = {{name | key, value}}}   Name {name, decl | nil: a global}   Operation {parts}   Paren {value}
--   Index {object, name | key}   Call {fn, args}   Method {object, name, args}
-- Statements: Local {decls, values}   Assign {targets, values}   Do {body}   While {condition, body}
--   Repeat {body, condition}   If {conditions, bodies}   ForNumber {decl, values, body}   ForIn {decls, values, body}
--   Return {values}   and Call and Method. A body is a list of statements; each has starts = {at, line}.
-- decl: {name, line, column, value = what it is declared as | nil, index = which of its results, assigned = written
-- again, param = it is a parameter, fn = the function it is one of}
local lexer = require "moongate.source.lexer"
local statements = require "moongate.source.statements"

local M = {}

local UNARY = { ["not"] = true, ["-"] = true, ["#"] = true, ["~"] = true }
local BINARY = {}
for op in ("+ - * / // % ^ .. == ~= < <= > >= & | ~ << >> and or"):gmatch "%S+" do BINARY[op] = true end
local BLOCK_END = { ["end"] = true, ["else"] = true, ["elseif"] = true, ["until"] = true }

local Parser = {}
Parser.__index = Parser

-- ---- tokens ----

function Parser:peek(text) -- an operator or keyword; names and strings are asked for by kind
  local token = self.tokens[self.at]
  return token.text == text and (token.kind == "operator" or token.kind == "keyword")
end

function Parser:accept(text)
  if self:peek(text) then
    self.at = self.at + 1
    return true
  end
end

function Parser:next()
  local token = self.tokens[self.at]
  self.at = math.min(self.at + 1, #self.tokens)
  return token
end

function Parser:kind() return self.tokens[self.at].kind end

-- A node at a token, by default the one that comes next.
function Parser:node(tag, token)
  token = token or self.tokens[self.at]
  return { tag = tag, line = token.line, column = token.column }
end

-- ---- names ----

function Parser:open() self.scopes[#self.scopes + 1] = {} end
function Parser:close() self.scopes[#self.scopes] = nil end

function Parser:declare(token, fields)
  local decl = fields or {}
  decl.name, decl.line, decl.column = token.text, token.line, token.column
  self.scopes[#self.scopes][decl.name] = decl
  return decl
end

function Parser:find(name)
  for i = #self.scopes, 1, -1 do
    local decl = self.scopes[i][name]
    if decl then return decl end
  end
end

-- A use of a name. Where a script has made an _ENV of its own, no name is a global we know.
function Parser:name(token)
  local node = self:node("Name", token)
  node.name, node.decl = token.text, self:find(token.text)
  if not node.decl and self:find "_ENV" then node.unknown = true end
  return node
end

-- ---- expressions ----

local CONSTANTS = { ["nil"] = true, ["true"] = true, ["false"] = true }

local function string_value(text)
  local value = load("return " .. text, "=s", "t", {})
  return value and value() or nil
end

function Parser:arguments()
  if self:accept "(" then
    local args = {}
    if not self:peek ")" then args = self:expressions() end
    self:accept ")"
    return args
  end
  return { self:simple_argument() }
end

function Parser:simple_argument()
  if self:peek "{" then return self:constructor() end
  local token = self.tokens[self.at]
  local node = self:node "String"
  node.value = string_value(token.text)
  self:next()
  return node
end

function Parser:suffixed()
  local node
  if self:peek "(" then
    node = self:node "Paren"
    self:next()
    node.value = self:expression()
    self:accept ")"
  else
    node = self:name(self:next())
  end
  while true do
    if self:accept "[" then
      local index = self:node "Index"
      index.object, index.key = node, self:expression()
      if index.key.tag == "String" then
        index.name, index.line, index.column = index.key.value, index.key.line, index.key.column
      end
      self:accept "]"
      node = index
    elseif self:accept "." then
      local index = self:node "Index"
      index.object, index.name = node, self:next().text
      node = index
    elseif self:accept ":" then
      local call = self:node "Method"
      call.object, call.name = node, self:next().text
      call.args = self:arguments()
      node = call
    elseif self:kind() == "string" or self:peek "(" or self:peek "{" then
      local call = { tag = "Call", line = node.line, column = node.column, fn = node }
      call.args = self:arguments()
      node = call
    else
      return node
    end
  end
end

function Parser:constructor()
  local node = self:node "Table"
  node.items = {}
  self:accept "{"
  while not self:accept "}" do
    local item = self:node "Item"
    if self:accept "[" then
      item.key = self:expression()
      self:accept "]"
      self:accept "="
      if item.key.tag == "String" then item.name = item.key.value end
    elseif self:kind() == "name" and self.tokens[self.at + 1].text == "="
      and self.tokens[self.at + 1].kind == "operator" then
      item.name = self:next().text
      self:next()
    end
    item.value = self:expression()
    node.items[#node.items + 1] = item
    if not self:accept "," then self:accept ";" end
  end
  return node
end

-- Parameters and body of a function, behind the word.
function Parser:body(node, is_method)
  node.params, node.method = {}, is_method
  self:open()
  if is_method then
    self:declare({ text = "self", line = node.line, column = node.column }, { param = 0, fn = node })
  end
  self:accept "("
  while not self:accept ")" do
    local token = self:next()
    if token.kind == "name" then
      node.params[#node.params + 1] = self:declare(token, { param = #node.params + 1, fn = node })
    end
  end
  node.body = self:block "end"
  self:close()
  return node
end

function Parser:simple()
  local token = self.tokens[self.at]
  if token.kind == "name" or self:peek "(" then return self:suffixed() end
  if self:peek "{" then return self:constructor() end
  if token.kind == "string" then return self:simple_argument() end
  local node = self:node "Constant"
  if self:accept "function" then
    node.tag = "Function"
    return self:body(node)
  end
  self:next()
  if token.text == "..." then node.tag = "Vararg" end
  if token.kind == "number" then node.value = tonumber(token.text) end
  if CONSTANTS[token.text] then node.constant = token.text end
  return node
end

function Parser:expression()
  local node = self:node "Operation"
  node.parts = {}
  local plain = true
  repeat
    while UNARY[self.tokens[self.at].text] and self:kind() ~= "string" do
      self:next()
      plain = false
    end
    node.parts[#node.parts + 1] = self:simple()
    local token = self.tokens[self.at]
    local more = BINARY[token.text] and token.kind ~= "string"
    if more then
      self:next()
      plain = false
      node.operator = token.text
    end
  until not more
  return plain and node.parts[1] or node
end

function Parser:expressions()
  local list = {}
  repeat list[#list + 1] = self:expression() until not self:accept ","
  return list
end

-- ---- statements ----

-- At a word that ends a block, or at the end of it all.
function Parser:at_block_end()
  return self:kind() == "end" or (self:kind() == "keyword" and BLOCK_END[self.tokens[self.at].text] == true)
end

-- Until one of the words that end a block, which is taken when it is `stop`.
function Parser:block(stop)
  local list = {}
  while not self:at_block_end() do
    local token = self.tokens[self.at]
    local statement = self:statement()
    if statement.tag ~= "Empty" then statement.starts = { at = token.at, line = token.line } end
    list[#list + 1] = statement
  end
  if stop then self:accept(stop) end
  return list
end

function Parser:scoped(stop)
  self:open()
  local list = self:block(stop)
  self:close()
  return list
end

function Parser:statement()
  local node, token = self:node "Empty", self.tokens[self.at]
  if self:accept ";" then return node end
  if self:accept "::" then
    self:next()
    self:accept "::"
    return node
  end
  if token.kind == "keyword" and statements[token.text] then
    self:next()
    statements[token.text](self, node)
    return node
  end
  local targets = {}
  repeat targets[#targets + 1] = self:suffixed() until not self:accept ","
  if not self:accept "=" then return targets[1] end
  node.tag, node.targets, node.values = "Assign", targets, self:expressions()
  for _, target in ipairs(targets) do
    if target.tag == "Name" and target.decl then target.decl.assigned = true end
  end
  return node
end

-- text -> list of statements
function M.chunk(text)
  local p = setmetatable({ tokens = lexer.tokens(text), at = 1, scopes = { {} } }, Parser)
  local body = {}
  while p:kind() ~= "end" do
    local before = p.at
    local more = p:block()
    table.move(more, 1, #more, #body + 1, body)
    if p.at == before then p:next() end -- never in a chunk that loads; no loop in one that does not
  end
  return body
end

return M
