-- api.lua - what lua/meta says, laid out for a terminal: a module, a function, a class. The same for `moongate help
-- http.request` and for help() at the prompt.
local meta = require "moongate.meta"
local suggest = require "moongate.suggest"
local text = require "moongate.text"
local types = require "moongate.meta.types"

local M = {}

-- "moongate.http.client" -> "http.client"
function M.short(name) return (name:gsub("%f[%w_]moongate%.(%l)", "%1")) end

-- The doc up to its first full stop.
function M.first_sentence(doc)
  local paragraph = doc:match "^(.-)\n\n" or doc
  local first = paragraph:match "^(.-[^%.]%.)%s" or paragraph:match "^(.-[^%.]%.)$" or paragraph
  return (first:gsub("\n", " "):gsub("%.$", ""))
end

-- "request(options) -> response, err": the types of results that have no name.
function M.signature(fn, owner)
  local names = {}
  for i, result in ipairs(fn.returns) do
    names[i] = result.name or M.short(result.type:gsub("%?$", ""))
  end
  local before = owner and M.short(owner) .. (fn.method and ":" or ".") or ""
  return before .. fn.signature .. (#names > 0 and " -> " .. table.concat(names, ", ") or "")
end

-- What a type's tables may hold: {type name, fields}, for the classes it names.
function M.classes_in(kind)
  local found = {}
  for _, part in ipairs((types.parts(kind))) do
    local class = meta.class((part:gsub("%[%]$", "")))
    if class and #class.fields > 0 then found[#found + 1] = class end
  end
  return found
end

local Page = {}
Page.__index = Page

function Page:add(line) self[#self + 1] = line or "" end

function Page:doc(doc, indent)
  local pad = (" "):rep(indent or 0)
  for paragraph in (doc .. "\n\n"):gmatch "(.-)\n\n+" do
    if paragraph ~= "" then
      if #self > 0 and self[#self] ~= "" then self:add() end
      for line in (paragraph .. "\n"):gmatch "(.-)\n" do
        for _, wrapped in ipairs(text.wrap(line, text.width() - #pad)) do self:add(pad .. wrapped) end
      end
    end
  end
end

function Page:rows(title, rows)
  if #rows == 0 then return end
  self:add()
  self:add(title)
  self:add(text.columns(rows, 2))
end

local function described(entry)
  local kind = M.short(entry.type)
  return kind .. (entry.doc ~= "" and "  " .. entry.doc or "")
end

local function field_rows(fields)
  local rows = {}
  for _, field in ipairs(fields) do
    local absent = field.optional and not field.type:find "%?$"
    if field.name:sub(1, 1) ~= "_" then -- for modules of the program
      rows[#rows + 1] = { field.name .. (absent and "?" or ""), described(field) }
    end
  end
  return rows
end

-- owner: "moongate.http", or the class of a method.
function M.fn(fn, owner)
  local page = setmetatable({ M.signature(fn, owner) }, Page)
  if fn.doc ~= "" then
    page:add()
    page:doc(fn.doc, 2)
  end
  local returns, shown = {}, {}
  for i, result in ipairs(fn.returns) do
    returns[i] = result.name and { result.name, described(result) } or { M.short(result.type), result.doc }
  end
  page:rows("Parameters", field_rows(fn.params))
  page:rows("Results", returns)
  for _, list in ipairs { fn.params, fn.returns } do
    for _, entry in ipairs(list) do
      for _, class in ipairs(M.classes_in(entry.type)) do
        if not shown[class] and class.name ~= "moongate.error" then
          shown[class] = true
          page:rows("Fields of " .. M.short(class.name), field_rows(class.fields))
        end
      end
    end
  end
  return table.concat(page, "\n")
end

local function function_rows(functions, owner)
  local rows = {}
  for i, fn in ipairs(functions) do rows[i] = { M.signature(fn, owner), M.first_sentence(fn.doc) } end
  return rows
end

function M.class(class)
  local page = setmetatable({ M.short(class.name) }, Page)
  page:add()
  page:doc(class.doc, 2)
  page:rows("Fields", field_rows(class.fields))
  page:rows("Methods", function_rows(class.methods, class.name:match "([^.]+)$"))
  return table.concat(page, "\n")
end

function M.module(module)
  local page = setmetatable({ M.short(module.name) .. '   require "' .. module.name .. '"' }, Page)
  page:add()
  page:doc(module.doc, 2)
  page:rows("Functions", function_rows(module.functions, module.name))
  page:rows("Fields", field_rows(module.fields))
  for _, alias in ipairs(module.aliases) do
    local rows = {}
    for i, value in ipairs(alias.values or {}) do rows[i] = { value.value, value.doc } end
    page:rows("Values of " .. M.short(alias.name), rows)
  end
  local objects = {}
  for _, class in ipairs(module.classes) do
    if #class.methods > 0 then
      page:rows("Methods of " .. M.short(class.name), function_rows(class.methods, class.name:match "([^.]+)$"))
    elseif class.name ~= module.class then
      objects[#objects + 1] = M.short(class.name)
    end
  end
  if #objects > 0 then
    page:add()
    page:doc("Types: " .. table.concat(objects, ", "))
  end
  return table.concat(page, "\n")
end

-- Private modules have pages for their readers in the source only.
local function public(name)
  return require("moongate.sandbox").public(name)
end

function M.public_modules()
  local names = {}
  for _, name in ipairs(meta.modules()) do
    if public(name) then names[#names + 1] = name end
  end
  table.sort(names, function(a, b) return M.short(a) < M.short(b) end)
  return names
end

-- How scripts and the prompt call the objects that they have.
local OBJECTS = { gw = "gateway.handle", run = "workflow.run", gateway = "gateway.handle" }

-- "gw.get", "run:step", "http.client.get" -> the name that lua/meta has for it, or nil.
local function other_name(path)
  local object, method = path:match "^(%a+)[.:]([%w_]+)$"
  local class = OBJECTS[object or path]
  if class and path ~= "gateway" then return method and class .. ":" .. method or class end
  local before, last = path:match "^(.+)%.([%w_]+)$"
  return before and before .. ":" .. last
end

-- M.find("http.request") -> text | nil, what could have been meant
function M.find(path)
  local kind, thing = meta.find(path)
  if not kind and other_name(path) then
    path = other_name(path)
    kind, thing = meta.find(path)
  end
  local file = thing and thing.file and thing.file:match "([%w_]+)%.lua$"
  if file and file ~= "cjson" and not public("moongate." .. file) then kind = nil end
  if kind == "module" then
    return M.module(thing)
  elseif kind == "class" then
    return M.class(thing)
  elseif kind == "function" or kind == "method" then
    return M.fn(thing, kind == "method" and path:match "^(.*)[:.][%w_]+$" or path:match "^(.*)%.")
  elseif kind == "field" then
    return ("%s: %s\n\n  %s"):format(path, M.short(thing.type), thing.doc)
  end
  return nil, suggest.hint(path, M.names())
end

-- All paths that have help: "http", "http.request", "http.client:get".
function M.names()
  local names = {}
  for _, module_name in ipairs(M.public_modules()) do
    local module = meta.module(module_name)
    names[#names + 1] = M.short(module_name)
    for _, fn in ipairs(module.functions) do names[#names + 1] = M.short(module_name) .. "." .. fn.name end
    for _, class in ipairs(module.classes) do
      for _, fn in ipairs(class.methods) do names[#names + 1] = M.short(class.name) .. ":" .. fn.name end
    end
  end
  return names
end

return M
