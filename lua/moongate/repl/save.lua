-- save.lua - `:save`: the lines of a session that did something, as a workflow that `moongate run` takes.
local globals = require "moongate.source.globals"
local lexer = require "moongate.source.lexer"
local parse = require "moongate.source.parse"
local secrets = require "moongate.repl.secrets"
local time = require "moongate.time"

local M = {}

local LOCALS = 150 -- Lua has room for 200 in a function

local function mentions(text, name)
  for _, token in ipairs(lexer.tokens(text)) do
    if token.kind == "name" and token.text == name then return true end
  end
  return false
end

local function calls(text)
  for _, token in ipairs(lexer.tokens(text)) do
    if token.text == "(" or token.kind == "string" or token.text == "{" then return true end
  end
  return false
end

local function is_statement(text) return load(text, "=repl", "t") ~= nil end
local function is_help(text) return text:find "^%s*help%f[^%w_]" ~= nil end

-- One line as a statement; nil: it only looked at something. used: the next one wants its value.
local function statement(entry, used)
  local text = secrets.clean(entry.text):gsub("^%s*=", "")
  if is_help(text) then return nil end
  if entry.kind ~= "expression" then return (require("moongate.repl.chunk").lift(text):gsub("^%s+", "")) end
  if used then return "_ = " .. text end
  if not calls(text) then return nil end
  return is_statement(text) and text or "_ = " .. text
end

-- What has only shown its writes must not send them later.
local function comment(text)
  return "-- under :dry on: " .. text:gsub("\r\n?", "\n"):gsub("\n", "\n--   ")
end

-- -> list of statements, how many of them are comments
local function statements(entries)
  local out, dry = {}, 0
  for i, entry in ipairs(entries) do
    local following = entries[i + 1]
    local text = statement(entry, following and mentions(following.text, "_"))
    if text and entry.dry then text, dry = comment(text), dry + 1 end
    out[#out + 1] = text
  end
  return out, dry
end

-- Names that the text takes from the session, and those that it gives to it.
local function names_of(session, text)
  local found = globals.scan(parse.chunk(text))
  local modules, defined, gateway, seen = {}, {}, false, {}
  for _, node in ipairs(found.writes) do
    if not seen[node.name] then
      seen[node.name] = true
      defined[#defined + 1] = node.name
    end
  end
  for _, node in ipairs(found.reads) do
    local name = node.name
    if not seen[name] then
      seen[name] = true
      if name == "gw" then gateway = true end
      if name == "moongate" then modules[#modules + 1] = name end
      if session.modules[name] then modules[#modules + 1] = name end
    end
  end
  table.sort(modules)
  table.sort(defined)
  return modules, defined, gateway
end

-- Indents what is not inside of a text of several lines.
local function indented(text, pad)
  if text:find "%[=*%[" or text:find "\\\n" then return text end
  return pad .. text:gsub("\n", "\n" .. pad)
end

-- M.text(session, path) -> the workflow's source, how many of the session's lines are comments in it, since they were
-- entered under :dry on
function M.text(session, path)
  local lines, dry = statements(session.entries)
  local modules, defined, gateway = names_of(session, table.concat(lines, "\n"))
  local out = {}
  local function add(format, ...) out[#out + 1] = format:format(...) end
  add("-- A session of `moongate repl`, %s.\nlocal workflow = require \"moongate.workflow\"", time.iso())
  for _, name in ipairs(modules) do
    if name ~= "workflow" then add('local %s = require "%s"', name, session.modules[name] or name) end
  end
  local name = path:match("([^/]*)$"):gsub("%.lua$", ""):lower():gsub("[^%l%d]+", "-"):gsub("^[%d-]+", "")
    :gsub("%-$", "")
  add("\nreturn workflow.define {")
  add("  name    = %q,", name ~= "" and name or "session")
  add("  summary = %q,", "what was done in a session of the prompt")
  add("  run = function(%s)", (gateway or mentions(table.concat(lines, "\n"), "run")) and "run" or "")
  if gateway then add("    local gw = run.gateway") end
  if #defined > 0 and #defined <= LOCALS then add("    local %s", table.concat(defined, ", ")) end
  for _, line in ipairs(lines) do out[#out + 1] = indented(line, "    ") end
  add("  end,\n}\n")
  return table.concat(out, "\n"), dry
end

return M
