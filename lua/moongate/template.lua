-- template.lua - prompt templates: files read and checked, rendered, promoted to a new version, rolled back; and which
-- variant of an experiment a subject gets.

local argument = require "moongate.argument"
local assignment = require "moongate.template.assignment"
local check = require "moongate.template.check"
local diff = require "moongate.diff"
local documents = require "moongate.documents"
local json = require "moongate.json"
local placeholders = require "moongate.template.placeholders"
local promotion = require "moongate.template.promotion"
local source = require "moongate.template.source"
local suggest = require "moongate.suggest"
local text_diff = require "moongate.template.text_diff"

local M = {}

-- template.variant(experiment, subject, split) and template.grow(split, variant, share): template/assignment.lua.
M.variant, M.grow = assignment.variant, assignment.grow

-- template.look, promote, rollback_document, rollback, end_rollback, versions, ab_header: template/promotion.lua.
for name, fn in pairs(promotion) do M[name] = fn end

-- Limits, and what a project file may set instead; template.estimate(text) -> tokens: template/check.lua.
M.LIMITS, M.estimate = check.LIMITS, check.estimate

-- ---- one template ----

local CHECK = { limits = true, model_window = true, split = true, variant = true }

local function check_options(what, opts)
  argument.check(2, what, opts, "table?", 2)
  return argument.options(what, opts, CHECK, 2)
end

-- template.check(document [, {limits, model_window = tokens, split = fraction, variant = id}]) -> {document = as it is
-- sent, characters, estimated_tokens, threshold, warnings}; or nil, faults.
function M.check(document, opts)
  return check.source({ document = document, place = function() return "document" end },
    check_options("template.check", opts))
end

-- ---- files ----

local function load_one(path, opts, faults)
  local before = #faults
  local src = source.read(path, { max_bytes = check.limits(opts).template_file_bytes }, faults)
  if not src then return nil end
  local template, more = check.source(src, opts)
  if not template then table.move(more, 1, #more, #faults + 1, faults) end
  return #faults == before and template or nil, documents.is_object(src.document) and src.document.templateId or nil
end

-- template.load_all(paths [, options of check]) -> templates, each with its file, in the order given. A folder stands
-- for the .json and .txt files in it, by name. Raises one error, "invalid", whose details are all faults of all files;
-- a templateId that two files share is one: one version of a template is promoted in one go.
function M.load_all(paths, opts)
  opts = check_options("template.load_all", opts)
  return documents.load_all(paths, {
    id = "/templateId", wanted = source.wanted, expected = ".json or .txt",
    load = function(path, faults) return load_one(path, opts, faults) end,
  })
end

-- template.load(path [, options of check]) -> template. Raises as load_all does.
function M.load(path, opts)
  opts = check_options("template.load", opts)
  local faults = {}
  local template = load_one(path, opts, faults)
  if not template then documents.raise(faults) end
  return template
end

-- template.load_values(path) -> the values of a JSON file, and its text.
function M.load_values(path)
  local faults = {}
  local text = documents.read(path, { what = "a file of sample variables", max_bytes = 1 << 20 }, faults)
  local values = text and documents.decode(path, text, faults)
  if values ~= nil and not documents.is_object(values) then
    documents.add(faults, path, "", "must be an object: {\"name\": value, …}")
  end
  if #faults > 0 then documents.raise(faults) end
  return values, text
end

-- ---- rendering ----

local function type_of(declared)
  if type(declared) ~= "string" then return type(declared) end
  return check.TYPES[declared] and declared or "string"
end

local function fits(kind, value)
  if kind == "integer" then return type(value) == "number" and math.tointeger(value) ~= nil end
  return type(value) == kind
end

local function shown(kind, value)
  if type(value) == "string" then return value end
  return assert(json.encode(kind == "integer" and math.tointeger(value) or value))
end

-- template.render(template, values) -> {text, characters, estimated_tokens, threshold}; or nil, faults {pointer, field,
-- message}: a value that is missing and has no default, is of another type than declared, or belongs to no variable.
function M.render(template, values)
  local declared, texts, faults, names = template.document.variables, {}, {}, {}
  local function fault(name, message)
    documents.add(faults, "variables", documents.pointer("", name), message)
  end
  for name in pairs(declared) do names[#names + 1] = name end
  local known = table.move(names, 1, #names, 1, {})
  for name in pairs(values) do
    if declared[name] == nil then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local wanted, value = declared[name], values[name]
    if wanted ~= nil and value == nil and not check.TYPES[wanted] then value = wanted end
    if wanted == nil then
      fault(name, "is not a variable of the template" .. suggest.hint(name, known))
    elseif value == nil then
      fault(name, ("is missing: a value of type %s"):format(wanted))
    elseif not fits(type_of(wanted), value) then
      fault(name, ("must be of type %s, not %s"):format(type_of(wanted), diff.show(value, 40)))
    else
      texts[name] = shown(type_of(wanted), value)
    end
  end
  if #faults > 0 then return nil, faults end
  local text = placeholders.fill(template.document.content, texts)
  return {
    text = text, characters = utf8.len(text), estimated_tokens = M.estimate(text), threshold = template.threshold,
  }
end

-- ---- what differs ----

local function names_in(content)
  local set = {}
  for _, p in ipairs(placeholders.scan(content or "")) do set[p.name] = true end
  return set
end

local function missing_from(a, b)
  local list = json.array {}
  for name in pairs(a) do
    if not b[name] then list[#list + 1] = name end
  end
  table.sort(list)
  return list
end

-- template.diff(from, to) -> {placeholders = {added, removed}, variables = changes, content = lines}. from: what the
-- gateway holds as content of a version, nil when there is none.
function M.diff(from, to)
  local before, after = names_in(from and from.content), names_in(to.content)
  return {
    placeholders = { added = missing_from(after, before), removed = missing_from(before, after) },
    variables = diff.to_json(diff.compare(from and from.variables or {}, to.variables)),
    content = json.array(text_diff.lines(from and from.content, to.content)),
  }
end

return M
