-- configuration_files.lua - the files that model configurations come in: one configuration, or a set of named ones.
-- For model/configuration.lua.
--
--   {"model_id": …, …}                                                 one; its name is the file's, without .json
--   {"configurations": {"NAME": {"model_id": …, …}}, "defaults": {…}}  a set; a configuration has each member of the
--                                                                      defaults that it does not have itself

local documents = require "moongate.documents"
local errors = require "moongate.error"
local locate = require "moongate.locate"
local merged = require "moongate.merged"
local schemas = require "moongate.schemas"
local suggest = require "moongate.suggest"

local M = {}

local MAX_BYTES = 1 << 20
local WHAT = "a model configuration"

local SET = {
  type = "object", required = { "configurations" }, additionalProperties = false,
  properties = {
    defaults = { type = "object" },
    configurations = { type = "object", minProperties = 1, additionalProperties = { type = "object" } },
  },
}

-- A configuration's schema for what need not be all of one, and names no model.
local function schema_of_defaults()
  local schema = schemas.table "model_configuration"
  schema.required, schema.properties.model_id = nil, nil
  return schema
end

-- ---- one configuration ----

-- The members that the document leaves open are sent as what they stand for.
local function complete(document)
  local config = merged(schemas.defaults "model_configuration", document)
  return config
end

-- M.check(document, {text, file, place}) -> config as it is sent; or nil, faults. As documents.check.
function M.check(document, opts)
  local valid, faults = documents.check(document, {
    schema = "model_configuration", what = WHAT, text = opts.text, file = opts.file, place = opts.place,
  })
  if not valid then return nil, faults end
  return complete(document)
end

-- An item: {name, file, config: nil when it has faults, model_id: where there is one, place = function(pointer) ->
-- file, line, pointer in the file}.
local function item_of(name, document, config, place)
  local id = document.model_id
  return { name = name, file = place "", config = config, model_id = type(id) == "string" and id or nil, place = place }
end

-- ---- a set ----

local function append(list, more)
  table.move(more, 1, #more, #list + 1, list)
end

local function name_faults(configurations, report)
  for name in pairs(configurations) do
    if not name:find("^[%w_.-]+$") then
      report(documents.pointer("/configurations", name),
        "is not a name for a configuration: letters, digits, '_', '.' and '-' only")
    end
  end
end

-- The names in the order of the file.
local function names_in_order(configurations, text)
  local names, line = {}, {}
  for name in pairs(configurations) do
    names[#names + 1] = name
    line[name] = locate.line(text, documents.pointer("/configurations", name))
  end
  table.sort(names, function(a, b)
    if line[a] ~= line[b] then return line[a] < line[b] end
    return a < b
  end)
  return names
end

-- Where a pointer of configuration `name` stands in the file: what it has from the defaults stands there.
local function placer(path, text, name, own)
  local at = documents.pointer("/configurations", name)
  return function(pointer, from_defaults)
    local member = pointer:match("^/([^/]*)")
    local whole = (from_defaults[member] and own[member] == nil and "/defaults" or at) .. pointer
    return path, locate.line(text, whole), whole
  end
end

local function load_named(path, text, set, name, faults)
  local own, defaults, config = set.configurations[name], set.defaults or {}, {}
  local at = placer(path, text, name, own)
  local function place(pointer) return at(pointer, defaults) end
  for k, v in pairs(defaults) do config[k] = v end
  for k, v in pairs(own) do config[k] = v end
  if own.model_id == nil then config.model_id = nil end -- never from the defaults
  local checked, more = M.check(config, { place = place })
  for _, fault in ipairs(more or {}) do
    if fault.pointer:sub(1, 10) ~= "/defaults/" then faults[#faults + 1] = fault end -- those are told already
  end
  return item_of(name, config, checked, place)
end

local function load_set(path, text, set, faults)
  local valid, more = documents.check(set, {
    schema = SET, what = "a set of configurations", text = text, file = path,
    rules = function(_, report)
      if documents.is_object(set.configurations) then name_faults(set.configurations, report) end
    end,
  })
  if not valid then append(faults, more) end
  if documents.is_object(set.defaults) then
    valid, more = documents.check(set.defaults, {
      schema = schema_of_defaults(), what = "the defaults",
      rules = function(defaults, report)
        if defaults.model_id ~= nil then report("/model_id", "can't be a default: each configuration has its own") end
      end,
      place = function(pointer) return path, locate.line(text, "/defaults" .. pointer), "/defaults" .. pointer end,
    })
    if not valid then append(faults, more) end
  else
    set.defaults = nil
  end
  local items = {}
  if not documents.is_object(set.configurations) then return items end
  for _, name in ipairs(names_in_order(set.configurations, text)) do
    if documents.is_object(set.configurations[name]) then
      items[#items + 1] = load_named(path, text, set, name, faults)
    end
  end
  return items
end

-- ---- files ----

local function base_name(path)
  return (path:match("[^/]*$"):gsub("%.json$", ""))
end

local function load_file(path, faults)
  local text = documents.read(path, { what = WHAT, max_bytes = MAX_BYTES }, faults)
  local document = text and documents.decode(path, text, faults)
  if document == nil then return {} end
  if documents.is_object(document) and document.configurations ~= nil then
    return load_set(path, text, document, faults)
  end
  local config, more = M.check(document, { text = text, file = path })
  append(faults, more or {})
  if not documents.is_object(document) then return {} end
  return { item_of(base_name(path), document, config, function(pointer)
    return path, locate.line(text, pointer), pointer
  end) }
end

-- Those of the items that `only` names; unless some file could not be understood, a name that there is not is a mistake
-- of use.
local function picked(items, only, faults)
  if not only then return items end
  local wanted, found, names, out = {}, {}, {}, {}
  for _, name in ipairs(only) do wanted[name] = true end
  for _, item in ipairs(items) do
    names[#names + 1] = item.name
    if wanted[item.name] then
      found[item.name] = true
      out[#out + 1] = item
    end
  end
  for _, name in ipairs(only) do
    if not found[name] and #faults == 0 then
      errors.raise {
        code = "usage", message = ("no configuration is named '%s'%s"):format(name, suggest.hint(name, names)),
        hint = "there are " .. table.concat(names, ", ", 1, math.min(#names, 20)) .. (#names > 20 and ", …" or ""),
      }
    end
  end
  return out
end

-- M.fault(faults, item, pointer, message): one more, at its place in the file.
function M.fault(faults, item, pointer, message)
  local file, line, whole = item.place(pointer)
  documents.add(faults, file, whole, message, line)
end

local function no_model_twice(items, faults)
  local owner = {}
  for _, item in ipairs(items) do
    local id = item.model_id and item.model_id:lower() or item
    if owner[id] then
      M.fault(faults, item, "/model_id", ("is the model of %s (%s) too: a model has one configuration"):format(
        owner[id].name, owner[id].file))
    else
      owner[id] = item
    end
  end
end

-- M.load_all(paths [, only = list of names]) -> items {name, file, config, place}, in the order given. Raises one
-- error, "invalid", whose details are all faults of all files; a model that two of the items configure is one.
function M.load_all(paths, only)
  local faults, items = {}, {}
  for _, path in ipairs(documents.expand(paths, faults)) do append(items, load_file(path, faults)) end
  items = picked(items, only, faults)
  no_model_twice(items, faults)
  if #faults > 0 then documents.raise(faults) end
  return items
end

return M
