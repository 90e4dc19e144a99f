-- list.lua - `moongate list` and `moongate show`: the catalogue of workflows.
local catalogue = require "moongate.cli.catalogue"
local errors = require "moongate.error"
local fail = require "moongate.fail"
local help = require "moongate.cli.help"
local json = require "moongate.json"
local suggest = require "moongate.suggest"
local text = require "moongate.text"

local M = {}

-- Whether it is of all these categories.
local function of(entry, wanted)
  local has = {}
  for _, category in ipairs(entry.categories or {}) do has[category] = true end
  for _, category in ipairs(wanted) do
    if not has[category] then return false end
  end
  return true
end

-- A definition as data: functions are the program's business.
local function document(entry)
  local d = entry.definition or {}
  local out = {
    name = entry.name, summary = d.summary, author = d.author, place = entry.place, hidden_by = entry.hidden,
    fault = entry.fault, permissions = d.permissions, categories = json.array(d.categories or {}),
    description = type(d.description) == "table" and table.concat(d.description, " ") or d.description,
    arguments = json.array {}, flags = json.array {}, examples = json.array {},
  }
  for i, arg in ipairs(d.args or {}) do
    out.arguments[i] = { name = arg[1], summary = arg[2], optional = arg.optional, repeated = arg.repeated }
  end
  for i, flag in ipairs(d.flags or {}) do
    out.flags[i] = {
      name = flag[1], summary = flag[2], type = flag.type or "string", env = flag.env, default = flag.default,
      required = flag.required, repeated = flag.repeated, choices = flag.choices and json.array(flag.choices),
    }
  end
  for i, example in ipairs(d.examples or {}) do out.examples[i] = { command = example[1], summary = example[2] } end
  return out
end

local function row(entry)
  local parts = { entry.summary or entry.fault or "" }
  if #(entry.categories or {}) > 0 then parts[#parts + 1] = "[" .. table.concat(entry.categories, ", ") .. "]" end
  if entry.path then parts[#parts + 1] = "(" .. entry.path .. ")" end
  if entry.hidden then parts[#parts + 1] = "hidden by " .. entry.hidden end
  return { entry.name, table.concat(parts, "  ") }
end

-- A category that is of no workflow, and no word for what one does, is a mistake.
local function check_categories(wanted, entries)
  local known, names = { read = true, write = true, destructive = true }, { "read", "write", "destructive" }
  for _, entry in ipairs(entries) do
    for _, category in ipairs(entry.categories or {}) do
      if not known[category] then known[category], names[#names + 1] = true, category end
    end
  end
  for _, category in ipairs(wanted) do
    if not known[category] then
      fail.usage("no workflow has the category '%s'%s", category, suggest.hint(category, names))
    end
  end
end

function M.list(ctx, args)
  if args.names then
    local names = catalogue.names()
    return ctx:result(json.array(names), table.concat(names, "\n"))
  end
  local rows, documents, entries = {}, json.array {}, catalogue.entries()
  check_categories(args.category, entries)
  for _, entry in ipairs(entries) do
    if of(entry, args.category) then
      rows[#rows + 1] = row(entry)
      documents[#documents + 1] = document(entry)
    end
  end
  ctx:result(documents, text.columns(rows, 0))
end

local function entry_of(name)
  local listed = {}
  for _, entry in ipairs(catalogue.entries()) do
    if (entry.name == name and not entry.hidden) or entry.path == name then return entry end
    listed[#listed + 1] = entry.name
  end
  if name:find "[/.]" then
    local definition, fault = catalogue.definition(name)
    return {
      name = definition and definition.name or name, place = name, path = name, definition = definition, fault = fault,
    }
  end
  errors.raise {
    code = "not_found", message = ("unknown workflow '%s'%s"):format(name, suggest.hint(name, listed)),
    hint = "Run `moongate list`.",
  }
end

function M.show(ctx, args)
  local entry = entry_of(args.workflow)
  local d = entry.definition
  if not d and entry.denied then error(entry.denied, 0) end
  if not d then
    errors.raise { code = "invalid", message = ("%s: %s"):format(entry.place, entry.fault) }
  end
  local rows = { { "where", entry.path or "in the program" } }
  if d.author then rows[#rows + 1] = { "author", d.author } end
  if d.categories then rows[#rows + 1] = { "categories", table.concat(d.categories, ", ") } end
  ctx:result(document(entry), help.of(entry.name, d, text.columns(rows, 2)):gsub("\n$", ""))
end

M.run = M.list

return M
