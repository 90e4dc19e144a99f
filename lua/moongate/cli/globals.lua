-- globals.lua - which global names a chunk reads and writes: a walk over its tokens that knows scopes. The chunk
-- must have passed load(), so a construct that is not understood can't happen and no error is ever raised for one.
local lexer = require "moongate.cli.lexer"

local M = {}

local UNARY = { ["not"] = true, ["-"] = true, ["#"] = true, ["~"] = true }
local BINARY = {}
for op in ("+ - * / // % ^ .. == ~= < <= > >= & | ~ << >> and or"):gmatch("%S+") do BINARY[op] = true end
local BLOCK_END = { ["end"] = true, ["else"] = true, ["elseif"] = true, ["until"] = true }

local Walk = {}
Walk.__index = Walk

function Walk:peek(text) -- an operator or keyword; names and strings are asked for by kind
  local token = self.tokens[self.at]
  return token.text == text and (token.kind == "operator" or token.kind == "keyword")
end

function Walk:accept(text)
  if self:peek(text) then
    self.at = self.at + 1
    return true
  end
end

function Walk:next()
  local token = self.tokens[self.at]
  self.at = math.min(self.at + 1, #self.tokens)
  return token
end

function Walk:kind() return self.tokens[self.at].kind end

function Walk:open() self.scopes[#self.scopes + 1] = {} end
function Walk:close() self.scopes[#self.scopes] = nil end
function Walk:declare(name) self.scopes[#self.scopes][name] = true end

function Walk:is_local(name)
  for i = #self.scopes, 1, -1 do
    if self.scopes[i][name] then return true end
  end
  return false
end

function Walk:use(token, how)
  local name = token.text
  if self:is_local(name) then return end
  if name == "_ENV" then
    self.found.opaque = true -- its fields are anybody's guess
  elseif not self:is_local("_ENV") then
    table.insert(self.found[how], token)
  end
end

-- `_G.x` and `_ENV.x` are the global x; any other use of the two hides what is defined.
function Walk:table_of_globals(token)
  if (token.text ~= "_G" and token.text ~= "_ENV") or self:is_local(token.text) then return false end
  if not self:peek(".") then
    self.found.opaque = true
    return false
  end
  self:next()
  local field = self:next()
  if self:peek("=") then table.insert(self.found.writes, field) end
  return true
end

-- Returns the token when the expression is a bare name whose use is still to be noted.
function Walk:suffixed()
  local bare
  if self:accept("(") then
    self:expression()
    self:accept(")")
  else
    local token = self:next()
    if not self:table_of_globals(token) then bare = token end
  end
  while self:at_suffix() do
    if bare then self:use(bare, "reads") end
    bare = nil
    if self:accept("[") then
      self:expression()
      self:accept("]")
    elseif self:accept(".") or self:accept(":") then
      self:next()
    else
      self:call_arguments()
    end
  end
  return bare
end

function Walk:at_suffix()
  return self:kind() == "string" or self:peek(".") or self:peek(":") or self:peek("[") or self:peek("(")
    or self:peek("{")
end

function Walk:call_arguments()
  if self:accept("(") then
    if not self:peek(")") then self:expressions() end
    self:accept(")")
  elseif self:peek("{") then
    self:constructor()
  else
    self:next()
  end
end

function Walk:constructor()
  self:accept("{")
  while not self:accept("}") do
    if self:accept("[") then
      self:expression()
      self:accept("]")
      self:accept("=")
    elseif self:kind() == "name" and self.tokens[self.at + 1].text == "=" then
      self.at = self.at + 2
    end
    self:expression()
    if not self:accept(",") then self:accept(";") end
  end
end

function Walk:simple()
  local token = self.tokens[self.at]
  if token.kind == "name" or self:peek("(") then
    local bare = self:suffixed()
    if bare then self:use(bare, "reads") end
  elseif self:peek("{") then
    self:constructor()
  elseif self:accept("function") then
    self:body()
  else
    self:next() -- a number, a string, nil, true, false, ...
  end
end

function Walk:expression()
  repeat
    while UNARY[self.tokens[self.at].text] and self:kind() ~= "string" do self:next() end
    self:simple()
    local more = BINARY[self.tokens[self.at].text] and self:kind() ~= "string"
    if more then self:next() end
  until not more
end

function Walk:expressions()
  repeat self:expression() until not self:accept(",")
end

-- Parameters and block of a function, behind the word.
function Walk:body(is_method)
  self:open()
  if is_method then self:declare("self") end
  self:accept("(")
  while not self:accept(")") do
    local token = self:next()
    if token.kind == "name" then self:declare(token.text) end
  end
  self:block("end")
  self:close()
end

function Walk:block(stop)
  while self:kind() ~= "end" and not (self:kind() == "keyword" and BLOCK_END[self.tokens[self.at].text]) do
    self:statement()
  end
  if stop then self:accept(stop) end
end

function Walk:scoped(stop)
  self:open()
  self:block(stop)
  self:close()
end

local statements = {}

statements["if"] = function(walk)
  repeat
    walk:expression()
    walk:accept("then")
    walk:scoped()
  until not walk:accept("elseif")
  if walk:accept("else") then walk:scoped() end
  walk:accept("end")
end

statements["while"] = function(walk)
  walk:expression()
  walk:accept("do")
  walk:scoped("end")
end

statements["do"] = function(walk) walk:scoped("end") end

statements["for"] = function(walk)
  local names = {}
  repeat names[#names + 1] = walk:next().text until not walk:accept(",")
  if not walk:accept("=") then walk:accept("in") end
  walk:expressions()
  walk:accept("do")
  walk:open()
  for _, name in ipairs(names) do walk:declare(name) end
  walk:block("end")
  walk:close()
end

statements["repeat"] = function(walk)
  walk:open()
  walk:block("until")
  walk:expression() -- sees the block's locals
  walk:close()
end

statements["function"] = function(walk)
  local token = walk:next()
  local is_field, is_method = false, false
  while walk:peek(".") or walk:peek(":") do
    is_field, is_method = true, walk:next().text == ":"
    local field = walk:next()
    if token.text == "_G" and not walk:is_local("_G") then table.insert(walk.found.writes, field) end
  end
  walk:use(token, is_field and "reads" or "writes")
  walk:body(is_method)
end

statements["local"] = function(walk)
  if walk:accept("function") then
    walk:declare(walk:next().text)
    return walk:body()
  end
  local names = {}
  repeat
    names[#names + 1] = walk:next().text
    if walk:accept("<") then -- an attribute
      walk:next()
      walk:accept(">")
    end
  until not walk:accept(",")
  if walk:accept("=") then walk:expressions() end
  for _, name in ipairs(names) do walk:declare(name) end
end

statements["return"] = function(walk)
  local ends = walk:kind() == "end" or (walk:kind() == "keyword" and BLOCK_END[walk.tokens[walk.at].text])
  if not ends and not walk:peek(";") then walk:expressions() end
end

statements["break"] = function() end
statements["goto"] = function(walk) walk:next() end

function Walk:statement()
  if self:accept(";") then return end
  if self:accept("::") then
    self:next()
    return self:accept("::")
  end
  local token = self.tokens[self.at]
  if token.kind == "keyword" and statements[token.text] then
    self:next()
    return statements[token.text](self)
  end
  local targets = {}
  repeat targets[#targets + 1] = self:suffixed() or false until not self:accept(",")
  if self:accept("=") then
    self:expressions()
    for _, target in ipairs(targets) do
      if target then self:use(target, "writes") end
    end
  end
end

-- text -> {reads = {tokens}, writes = {tokens}, opaque}; opaque: the chunk handles its environment as a value, so
-- that names may be defined out of sight.
function M.scan(text)
  local walk = setmetatable({
    tokens = lexer.tokens(text), at = 1, scopes = { {} }, found = { reads = {}, writes = {}, opaque = false },
  }, Walk)
  while walk:kind() ~= "end" do
    local before = walk.at
    walk:block()
    if walk.at == before then walk:next() end -- never in a chunk that loads; no loop in one that does not
  end
  return walk.found
end

-- The reads of names that neither `known` (a set) nor the chunk itself defines, in order of appearance.
function M.unknown(text, known)
  local found = M.scan(text)
  if found.opaque then return {} end
  local defined = {}
  for _, token in ipairs(found.writes) do defined[token.text] = true end
  local unknown = {}
  for _, token in ipairs(found.reads) do
    if not known[token.text] and not defined[token.text] then unknown[#unknown + 1] = token end
  end
  return unknown
end

return M
