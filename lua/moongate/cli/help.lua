-- help.lua - the help of the program, of a command, workflow, module or topic. Made from commands.lua, from the
-- workflows' definitions and from lua/meta.
local bundled = require "moongate.bundled"
local command_names = require "moongate.cli.names"
local commands = require "moongate.cli.commands"
local fail = require "moongate.fail"
local flag_rows = require "moongate.cli.flag_rows"
local flags = require "moongate.flags"
local suggest = require "moongate.suggest"
local text = require "moongate.text"

local M = {}

local function arg_rows(list)
  local rows = {}
  for _, arg in ipairs(list or {}) do rows[#rows + 1] = { arg[1]:upper(), arg[2] } end
  return rows
end

-- {name, summary} of every command and bundled workflow, by name.
local function summaries()
  local found = {}
  for _, command in ipairs(commands.commands) do found[command.name] = command.summary end
  for _, name in ipairs(bundled.names()) do
    local ok, definition = pcall(bundled.load, name)
    found[name] = ok and definition.summary or "(does not load)"
  end
  return found
end

local function section(title, body)
  return body ~= "" and ("\n%s\n%s\n"):format(title, body) or ""
end

local function paragraphs(description, indent)
  local pad = (" "):rep(indent)
  return pad .. table.concat(text.wrap(table.concat(description, " "), text.width() - indent), "\n" .. pad)
end

-- One line a command, in groups. What no group names comes last: a test sees to it that there is none.
local function group_sections()
  local left, parts, widest = summaries(), {}, 0
  for name in pairs(left) do widest = math.max(widest, #name) end
  local function add(title, names)
    local rows = {}
    for _, name in ipairs(names) do
      rows[#rows + 1] = { name, left[name] }
      left[name] = nil
    end
    parts[#parts + 1] = section(title, text.columns(rows, 2, widest))
  end
  for _, group in ipairs(commands.groups) do add(group[1], group[2]) end
  local others = {}
  for name in pairs(left) do others[#others + 1] = name end
  table.sort(others)
  if #others > 0 then add("Other", others) end
  return table.concat(parts)
end

-- What `moongate help` and `moongate` alone print.
function M.program()
  local topics = table.concat(require("moongate.cli.topics").NAMES, ", ")
  return table.concat {
    "moongate - ", commands.summary, "\n\n",
    "Usage: moongate [global flags] COMMAND [args]\n",
    group_sections(), "\n",
    paragraphs({ "Help on a command, workflow, module, function or topic: moongate help NAME." }, 0), "\n",
    paragraphs({ "Topics: " .. topics .. "." }, 0), "\n",
  }
end

local function example_lines(examples)
  local lines = {}
  for _, example in ipairs(examples or {}) do
    lines[#lines + 1] = "  " .. example[1] .. (example[2] and "   # " .. example[2] or "")
  end
  return table.concat(lines, "\n")
end

-- Statuses that a command can end with: those it declares (0 and usage aside), all that workflows have for a workflow.
local WORKFLOW = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 130 }

local function add_statuses(wanted, spec)
  local list = WORKFLOW
  if not spec.run and spec.exits ~= "workflow" then list = { 0, 2, table.unpack(spec.exits or { 1 }) } end
  for _, status in ipairs(list) do wanted[status] = true end
end

-- Those of a group are its commands'.
local function statuses(spec)
  local wanted, rows = {}, {}
  if not spec.commands or spec.bare then add_statuses(wanted, spec) end
  for _, sub in ipairs(spec.commands or {}) do add_statuses(wanted, sub) end
  for _, row in ipairs(commands.exit_statuses) do
    if wanted[row[1]] then rows[#rows + 1] = { tostring(row[1]), row[2] } end
  end
  return rows
end

-- Those of a group: its own, and the first of each of its commands.
local function examples(spec)
  if not spec.commands then return spec.examples end
  local list = table.move(spec.examples or {}, 1, #(spec.examples or {}), 1, {})
  for _, sub in ipairs(spec.commands) do list[#list + 1] = sub.examples and sub.examples[1] end
  return list
end

-- name: as it is typed ("audit show"); spec: an entry of commands.lua or a workflow's definition. about: more lines
-- below its summary.
function M.of(name, spec, about)
  local parts = { ("Usage: moongate %s\n\n%s\n"):format(flags.synopsis(name, spec), spec.summary or "") }
  local function add(s) parts[#parts + 1] = s end
  if spec.description then
    local description = type(spec.description) == "table" and spec.description or { spec.description }
    add("\n" .. paragraphs(description, 0) .. "\n")
  end
  if spec.commands then
    local rows = {}
    for _, sub in ipairs(spec.commands) do
      rows[#rows + 1] = { flags.synopsis(name .. " " .. sub.name, sub), sub.summary }
    end
    add(section("Commands", text.columns(rows, 2)))
  end
  if about then add("\n" .. about .. "\n") end
  add(section("Arguments", text.columns(arg_rows(spec.args), 2)))
  add(section("Flags", text.columns(flag_rows.of(spec.flags), 2)))
  add(section("Permissions", text.columns(require("moongate.cli.permissions").rows(spec.permissions), 2)))
  if spec.more then add("\n" .. flag_rows.more(spec)) end
  add(section("Examples", example_lines(examples(spec))))
  add(section("Exit status", text.columns(statuses(spec), 2)))
  add("\nGlobal flags (--sim, --json, --dry-run, -v, ...): moongate help flags\n")
  return table.concat(parts)
end

local function sub_command(command, name)
  for _, sub in ipairs(command.commands or {}) do
    if sub.name == name then return sub end
  end
  return fail.usage("'%s' has no command '%s'%s", command.name, name,
    suggest.hint(name, command_names.of(command.commands or {})))
end

-- Help for the words after `moongate help`.
function M.find(words)
  local name = words[1]
  for _, command in ipairs(commands.commands) do
    if command.name == name or command.module == name then
      if not words[2] then return M.of(name, command) end
      if not command.commands then break end -- "run.step", in two words
      return M.of(name .. " " .. words[2], sub_command(command, words[2]))
    end
  end
  local catalogue = require "moongate.cli.catalogue"
  local file = catalogue.find(name)
  local definition = bundled.load(name) or file and catalogue.definition(file)
  if definition then return M.of(name, definition) end
  local api = require "moongate.meta.pages"
  local topics = require "moongate.cli.topics"
  local path = table.concat(words, ".")
  local page = topics.find(path) or api.find(path)
  if page then return page .. "\n" end
  local names = command_names.all()
  table.move(topics.NAMES, 1, #topics.NAMES, #names + 1, names)
  table.move(api.names(), 1, #api.names(), #names + 1, names)
  return fail.usage("no command, workflow, module or topic '%s'%s", path, suggest.hint(path, names))
end

function M.run(ctx, args)
  if args.man then
    return ctx:text(require("moongate.cli.man").page())
  end
  if args.reference then
    local n = require("moongate.cli.reference").write(args.reference)
    return ctx:result({ folder = args.reference, pages = n }, ("%s: %s"):format(args.reference, text.count(n, "page")))
  end
  if #args.command == 0 then return ctx:text(M.program()) end
  return ctx:text(M.find(args.command))
end

return M
