-- definition.lua - what a script says of its workflow: checked when it is loaded; help, the parser of arguments,
-- the catalogue and the runner read it. For workflow.lua, whose define and is these are.

local flags = require "moongate.flags"
local suggest = require "moongate.suggest"

local M = {}

local FIELDS = {
  name = "string", summary = "string", description = "any", author = "string", categories = "table", args = "table",
  flags = "table", examples = "table", run = "function", offline = "function", permissions = "table",
  journal = "any", run_id = "function",
}

local PERMISSIONS = { net = true, read = true, write = true, env = true }

local definitions = setmetatable({}, { __mode = "k" })

-- A mistake in a definition is told with the script's file and line.
local function mistake(level, fmt, ...)
  error("workflow.define: " .. fmt:format(...), level + 1)
end

local function check_fields(spec, level)
  for key, value in pairs(spec) do
    local want = FIELDS[key]
    if not want then mistake(level + 1, "unknown field '%s'", tostring(key)) end
    if want ~= "any" and type(value) ~= want then
      mistake(level + 1, "%s must be a %s, not a %s", key, want, type(value))
    end
  end
  for _, key in ipairs { "name", "summary", "run" } do
    if spec[key] == nil then mistake(level + 1, "%s is missing", key) end
  end
  if not spec.name:find("^%l[%l%d-]*$") then
    mistake(level + 1, "name '%s' must be lower-case words joined by '-'", spec.name)
  end
end

-- What a workflow does to a gateway has one word each; other categories are subjects, of its author's choice.
local EFFECTS = { "read", "write", "destructive" }

local function check_categories(list, level)
  local seen = {}
  for i, word in pairs(list) do
    if math.type(i) ~= "integer" or type(word) ~= "string" or not word:find "^%l[%l%d-]*$" then
      mistake(level + 1, "categories must be a list of lower-case words")
    end
    local near = suggest.near(word, EFFECTS)
    if seen[word] then mistake(level + 1, "category '%s' is there twice", word) end
    if near and near ~= word then mistake(level + 1, "unknown category '%s' (did you mean '%s'?)", word, near) end
    seen[word] = true
  end
  if seen.read and (seen.write or seen.destructive) then
    mistake(level + 1, "categories: 'read' is for a workflow that changes nothing")
  end
  return seen
end

local function check_permissions(declared, level)
  for kind, list in pairs(declared) do
    if not PERMISSIONS[kind] then
      mistake(level + 1, "permissions: unknown field '%s'%s", tostring(kind),
        suggest.hint(tostring(kind), { "net", "read", "write", "env" }))
    end
    if type(list) ~= "table" then mistake(level + 1, "permissions.%s must be a list, not a %s", kind, type(list)) end
    for i, what in pairs(list) do
      if math.type(i) ~= "integer" or type(what) ~= "string" or what == "" then
        mistake(level + 1, "permissions.%s must be a list of strings", kind)
      end
    end
  end
end

-- workflow.define{name, summary, description, categories, args, flags, examples, run} -> definition. args and flags
-- as moongate/flags.lua says: {{"config", "what it is", repeated = true}}, {{"vector-store", "what it is", env =
-- "NAME", required = true}}.
-- permissions{net = {…}, read = {…}, write = {…}, env = {…}}: what it needs besides what every script may do. That
-- allows nothing; it says which flags the user has to give.
-- journal = false, or function(values) -> boolean: whether a run is kept; one that only reads needs none.
-- run_id(values) -> the id of the run, or nil: then the same command again continues that run, as with --run-id.
-- offline(values) -> whether these arguments need no gateway, and so no credentials.
function M.define(spec)
  if type(spec) ~= "table" then mistake(2, "expected a table, not a %s", type(spec)) end
  check_fields(spec, 2)
  spec.args, spec.flags = spec.args or {}, spec.flags or {}
  check_permissions(spec.permissions or {}, 2)
  local effects = check_categories(spec.categories or {}, 2)
  if spec.journal == false and not effects.read then
    mistake(2, "journal = false is for workflows of the category 'read'")
  elseif spec.journal ~= nil and type(spec.journal) ~= "boolean" and type(spec.journal) ~= "function" then
    mistake(2, "journal must be a boolean or a function, not a %s", type(spec.journal))
  end
  local ok, fault = pcall(flags.check, spec)
  if not ok then mistake(2, "%s", tostring(fault)) end
  definitions[spec] = true
  return spec
end

-- workflow.is(v) -> true for what define returned.
function M.is(v)
  return definitions[v] == true
end

return M
