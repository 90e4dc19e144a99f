-- parser.lua - a file of lua/meta as data: what the module is, its functions, its classes with their fields and
-- methods, each with its text, its types and its place. Takes the annotations of LuaLS that these files use; a line
-- that makes no sense is kept in `faults`, never passed over.
--
-- parse(text, name) -> {
--   name, doc, file, line, faults = {"file:line: what"},
--   functions = { function, … }, classes = { class, … }, aliases = { alias, … }, fields = { field, … }
-- }   fields: of the module itself
--   function  {name, doc, params = {param}, returns = {{type, name, doc, optional}}, errors = {code, …}, see = {name},
--              generics = {name}, overloads = {text}, deprecated, owner (a method's class), method (called with ":"),
--              signature, file, line}
--   param     {name, type, doc, optional}
--   class     {name, parents = {name}, doc, fields = {field}, methods = {function}, file, line}
--   field     {name, type, doc, optional}; name "[string]": any name
--   alias     {name, type, doc, values = {{value, doc}} | nil}
local types = require "moongate.meta.types"

local M = {}

local function joined(a, b)
  if a == "" or b == "" then return a .. b end
  return a .. (b:find "^[%s\n]" and "" or " ") .. b
end

-- Text lines of a comment -> paragraphs, separated by empty lines; indented lines and lists keep their breaks.
local function add_text(doc, line)
  if line == "" then return doc == "" and "" or doc .. "\n" end
  if doc == "" or doc:find "\n$" then return doc .. (doc ~= "" and not doc:find "\n\n$" and "\n" or "") .. line end
  if line:find "^%s" or line:find "^[-*] " then return doc .. "\n" .. line end
  return doc .. " " .. line
end

-- "Errors: `not_found` (why), `denied`." -> the codes, in order.
local function codes_of(doc)
  local codes, seen = {}, {}
  for paragraph in (doc .. "\n\n"):gmatch "(.-)\n\n" do
    local list = paragraph:match "^%s*Errors: (.*)$"
    for code in (list or ""):gmatch "`([%l_]+)`" do
      if not seen[code] then codes[#codes + 1], seen[code] = code, true end
    end
  end
  return codes
end

-- The second result's words, "not_found, denied, io", are codes as well.
local function codes_of_return(text, codes)
  local seen = {}
  for _, code in ipairs(codes) do seen[code] = true end
  for part in text:gmatch "[^,]+" do
    local code = part:match '^%s*"([%l_]+)"' or part:match "^%s*([%l_]+)%s*$" or part:match "^%s*([%l_]+):"
    if code and not seen[code] then codes[#codes + 1], seen[code] = code, true end
  end
end

local Parser = {}
Parser.__index = Parser

function Parser:fault(fmt, ...)
  self.module.faults[#self.module.faults + 1] = ("%s:%d: %s"):format(self.module.file, self.line, fmt:format(...))
end

local function empty_block(line)
  return { doc = "", params = {}, returns = {}, fields = {}, see = {}, generics = {}, overloads = {}, line = line }
end

-- ---- annotations ----

local tags = {}

function tags.meta() end

function tags.class(p, rest)
  p:finish_class()
  local name, parents = rest:gsub("^%b()%s*", ""):match "^([%w_.]+)%s*:?%s*(.*)$"
  if not name then return p:fault("a class without a name") end
  local class = {
    name = name, parents = {}, doc = p.block.doc, fields = {}, methods = {}, file = p.module.file, line = p.line,
  }
  for parent in parents:gmatch "[%w_.]+" do class.parents[#class.parents + 1] = parent end
  p.block = empty_block(p.line)
  p.class = class
  table.insert(p.module.classes, class)
  p.last = nil
end

function tags.field(p, rest)
  rest = rest:gsub("^public%s+", ""):gsub("^private%s+", ""):gsub("^protected%s+", "")
  local name, mark, tail = rest:match "^([%a_][%w_]*)(%??)%s+(.*)$"
  if not name then name, tail = rest:match "^(%b[])%s+(.*)$" end
  if not name then return p:fault("a field that can't be read: %s", rest) end
  if not p.class then return p:fault("a field without a class: %s", name) end
  local kind, doc = types.take(tail)
  local _, absent = types.parts(kind)
  local field = { name = name, type = kind, doc = doc, optional = mark == "?" or absent, line = p.line }
  table.insert(p.class.fields, field)
  p.last = field
end

function tags.param(p, rest)
  local name, mark, tail = rest:match "^([%w_.]+)(%??)%s+(.*)$"
  if not name then return p:fault("a parameter that can't be read: %s", rest) end
  local kind, doc = types.take(tail)
  local _, absent = types.parts(kind)
  local param = { name = name, type = kind, doc = doc, optional = mark == "?" or absent }
  table.insert(p.block.params, param)
  p.last = param
end

tags["return"] = function(p, rest)
  local kind, tail = types.take(rest)
  if kind == "" then return p:fault("a result without a type") end
  local name, doc = tail:match "^([%a_.][%w_.]*)%s*(.*)$"
  if not name then name, doc = nil, tail end
  local _, absent = types.parts(kind)
  local result = { type = kind, name = name, doc = doc, optional = absent }
  table.insert(p.block.returns, result)
  p.last = result
end

function tags.alias(p, rest)
  local name, tail = rest:match "^([%w_.]+)%s*(.*)$"
  if not name then return p:fault("an alias without a name") end
  p.last = { name = name, type = (types.take(tail)), doc = p.block.doc }
  table.insert(p.module.aliases, p.last)
  p.block = empty_block(p.line)
end

function tags.see(p, rest) table.insert(p.block.see, (rest:match "^%S+")) end

function tags.generic(p, rest)
  for name in rest:gmatch "([%w_]+)[^,]*" do table.insert(p.block.generics, name) end
end

function tags.overload(p, rest) table.insert(p.block.overloads, rest) end
function tags.deprecated(p) p.block.deprecated = true end
function tags.type(p, rest) p.block.type = (types.take(rest)) end
function tags.async() end
function tags.private() end -- below @meta: not for scripts (sandbox.lua)
function tags.nodiscard() end
function tags.vararg() end
function tags.diagnostic() end
function tags.enum() end
function tags.operator() end

function Parser:comment(text)
  local tag, rest = text:match "^@(%l+)%s*(.*)$"
  if tag then
    self.last = nil
    local handler = tags[tag]
    if not handler then return self:fault("unknown annotation @%s", tag) end
    return handler(self, rest)
  end
  local more = text:match "^%s%s+(.*)$" -- an indented line goes on with the annotation above it
  if self.last and more then
    if self.last.type then self.last.doc = joined(self.last.doc, more) end
    return
  end
  self.last = nil
  local value, value_doc = text:match '^|%s*"?([^"%s]+)"?%s*(.*)$' -- a value of an alias
  if value then
    local alias = self.module.aliases[#self.module.aliases]
    if not alias then return self:fault("a value of no alias: %s", value) end
    alias.values = alias.values or {}
    table.insert(alias.values, { value = value, doc = value_doc })
    return
  end
  self.block.doc = add_text(self.block.doc, text:gsub("^ ", ""))
end

-- ---- statements ----

function Parser:finish_class() self.class = nil end

-- "function owner.name(a, b) end": of the module, or a method of a class's variable.
function Parser:declare(owner, sep, name, params)
  local block, module = self.block, self.module
  local fn = {
    name = name, doc = (block.doc:gsub("%s+$", "")), params = block.params, returns = block.returns, see = block.see,
    generics = block.generics, overloads = block.overloads, deprecated = block.deprecated, method = sep == ":" or nil,
    file = module.file, line = self.line,
  }
  fn.errors = codes_of(fn.doc)
  for _, result in ipairs(fn.returns) do
    if result.type:find "error%??$" and result.doc ~= "" then codes_of_return(result.doc, fn.errors) end
  end
  fn.signature = ("%s(%s)"):format(name, params)
  local declared = {}
  for word in params:gmatch "[%w_.]+" do declared[#declared + 1] = word end
  fn.declared = declared
  for i, param in ipairs(fn.params) do
    if declared[i] ~= param.name then
      self:fault("%s: parameter %d is %s here and %s in the function", name, i, param.name, declared[i] or "missing")
    end
  end
  fn.owner_variable = owner
  table.insert(self.found, fn)
end

function Parser:statement(line)
  local owner, sep, name, params = line:match "^function%s+([%w_]+)([.:])([%w_]+)%s*%((.-)%)"
  if owner then
    self:declare(owner, sep, name, params)
  else
    local variable = line:match "^local%s+([%w_]+)%s*=" or line:match "^local%s+([%w_]+)%s*$"
    local field_of, field = line:match "^([%w_]+)%.([%w_]+)%s*="
    if variable then
      if self.class then self.variables[variable] = self.class end
    elseif field then
      table.insert(self.assigned, {
        owner = field_of, name = field, type = self.block.type or "any", doc = self.block.doc, optional = false,
      })
    elseif line:find "^return%s+[%w_]+" then
      self.returned = line:match "^return%s+([%w_]+)"
    end
  end
  self.class, self.last = nil, nil
  self.block = empty_block(self.line)
end

-- What is the module's, what is a class's.
function Parser:sort()
  local module = self.module
  local own = self.variables[self.returned]
  module.class = own and own.name
  for _, fn in ipairs(self.found) do
    local class = self.variables[fn.owner_variable]
    if fn.owner_variable == self.returned then
      table.insert(module.functions, fn)
    elseif class then
      fn.owner = class.name
      table.insert(class.methods, fn)
    else
      table.insert(module.faults, ("%s:%d: %s belongs to no class"):format(module.file, fn.line, fn.name))
    end
    fn.owner_variable = nil
  end
  for _, field in ipairs(self.assigned) do
    if field.owner == self.returned then table.insert(module.fields, field) end
    field.owner = nil
  end
  if not own then return end
  table.move(own.fields, 1, #own.fields, #module.fields + 1, module.fields)
  if own.doc ~= "" then module.doc = module.doc == "" and own.doc or module.doc .. "\n\n" .. own.doc end
  module.line = own.line
end

local function tidy(module)
  module.doc = module.doc:gsub("%s+$", "")
  for _, class in ipairs(module.classes) do class.doc = class.doc:gsub("%s+$", "") end
end

function M.parse(text, name, file)
  local p = setmetatable({
    line = 0, found = {}, assigned = {}, variables = {}, block = empty_block(1),
    module = {
      name = name, doc = "", file = file or name, line = 1, functions = {}, classes = {}, aliases = {}, fields = {},
      faults = {},
    },
  }, Parser)
  for line in (text:gsub("\r\n", "\n") .. "\n"):gmatch "(.-)\n" do
    p.line = p.line + 1
    local comment = line:match "^%-%-%-(.*)$"
    if comment then
      p:comment(comment)
    elseif line:find "^%s*$" then -- text that stands for itself is the module's
      if p.block.doc ~= "" and #p.block.params + #p.block.returns == 0 and not p.class then
        p.module.doc = p.module.doc .. (p.module.doc == "" and "" or "\n\n") .. p.block.doc:gsub("%s+$", "")
      end
      p.block, p.last, p.class = empty_block(p.line), nil, nil
    elseif not line:find "^%-%-" then
      p:statement(line)
    end
  end
  p:sort()
  tidy(p.module)
  return p.module
end

return M
