-- check.lua - `moongate check FILE...`: what is wrong with Lua files, all of it, without running them: syntax, names
-- that nothing defines, options that are none, permissions that are not declared, steps in loops without an order.
local exit_status = require "moongate.exit_status"
local fail = require "moongate.fail"
local fields = require "moongate.cli.check.fields"
local globals = require "moongate.source.globals"
local host = require "moongate.host"
local lua_files = require "moongate.cli.lua_files"
local needs = require "moongate.cli.check.needs"
local parse = require "moongate.source.parse"
local plain_text = require "moongate.plain_text"
local project = require "moongate.cli.project"
local report = require "moongate.cli.report"
local sandbox = require "moongate.sandbox"
local steps = require "moongate.cli.check.steps"
local suggest = require "moongate.suggest"
local text = require "moongate.text"
local values = require "moongate.cli.check.values"
local walk = require "moongate.source.walk"

local M = {}

local FILE_MAX = 16 << 20

-- The names that a script finds defined.
function M.script_globals()
  local names = { "arg", "_ENV" }
  for name in pairs(sandbox.new(nil)) do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- Where the compiler stopped: the place in its line of what it names.
local function syntax_fault(source, file, message)
  local line, what = message:match "^.*:(%d+): (.*)$"
  line, what = tonumber(line), what or message
  local near = what:match "near '(.-)'$"
  local n, column = 0, nil
  for source_line in (source .. "\n"):gmatch "([^\n]*)\n" do
    n = n + 1
    if n == line and near then column = source_line:find(near, 1, true) end
  end
  return { file = file, line = line, column = line and (column or 1), message = what }
end

local function unknown_globals(tree, known)
  local names, faults = {}, {}
  for name in pairs(known) do names[#names + 1] = name end
  table.sort(names)
  for i, node in ipairs(globals.unknown(tree, known)) do
    faults[i] = {
      line = node.line, column = node.column,
      message = ("unknown global '%s'%s"):format(node.name, suggest.hint(node.name, names)),
    }
  end
  return faults
end

-- A line that says `-- check: ignore` is as it is on purpose.
local function without_ignored(source, faults)
  if #faults == 0 or not source:find("-- check: ignore", 1, true) then return faults end
  local ignored, n, kept = {}, 0, {}
  for line in (source .. "\n"):gmatch "([^\n]*)\n" do
    n = n + 1
    ignored[n] = line:find("-- check: ignore", 1, true) ~= nil
  end
  for _, f in ipairs(faults) do
    if not ignored[f.line] then kept[#kept + 1] = f end
  end
  return kept
end

-- source -> list of {file, line, column, message}, in the order of their places. known: a set of global names.
-- opts: of check/fields.lua.
function M.faults(source, file, known, opts)
  local chunk, message = load(source, "@" .. file, "t")
  if not chunk then return { syntax_fault(source, file, message) } end
  local tree = parse.chunk(source)
  local known_values = values.of(tree)
  local faults = {}
  for _, list in ipairs {
    unknown_globals(tree, known), fields.faults(tree, known_values, opts or {}),
    steps.faults(tree, known_values, needs.definition(tree, known_values) ~= nil), needs.faults(tree, known_values),
  } do
    table.move(list, 1, #list, #faults + 1, faults)
  end
  for _, f in ipairs(faults) do f.file = file end
  faults = without_ignored(source, faults)
  table.sort(faults, function(a, b)
    if a.line ~= b.line then return a.line < b.line end
    if a.column ~= b.column then return a.column < b.column end
    return a.message < b.message
  end)
  return faults
end

-- A project file is known by its name, or by what it is: one table with nothing but a project's fields.
local function is_project(file, source)
  if file:match "[^/]*$" == "moongate.lua" then return true end
  if not load(source, "=p", "t") then return false end
  local tree = parse.chunk(source)
  local last = tree[#tree]
  local value = last and last.tag == "Return" and last.values[1]
  if not value or value.tag ~= "Table" or #value.items == 0 then return false end
  for _, item in ipairs(value.items) do
    if not project.FIELDS[item.name or ""] then return false end
  end
  local foreign = false
  walk(tree, function(node)
    foreign = foreign or (node.tag == "Name" and not node.decl and node.name == "require")
  end)
  return not foreign
end

-- Whether `require` in a script of that folder finds a file of its own.
local function finder(folder)
  return function(name)
    for _, path in ipairs(sandbox.files_of(folder, name)) do
      if lua_files.kind(path) == "file" then return true end
    end
    return false
  end
end

-- Tests and what they share, and the program's own modules and workflows.
local function is_trusted(file)
  local name, path = file:match "[^/]*$", "/" .. file
  return name:find "^test_" ~= nil or name:find "_test%.lua$" ~= nil or path:find("/tests/", 1, true) ~= nil
    or path:find("/lua/moongate/", 1, true) ~= nil
    or path:find "/scripts/[^/]+$" ~= nil and host.embedded("scripts/" .. name) ~= nil
end

local function check_project(file)
  local faults, err = host.check_project(file)
  return faults or { { file = file, message = err.message } }
end

local function check_file(file, known)
  local source, err = plain_text.text(file, FILE_MAX)
  if not source then return { { file = file, message = err.message } } end
  if is_project(file, source) then return check_project(file) end
  if source:sub(1, 1) == "#" then source = "--" .. source end -- a shebang line; columns are in the lines below
  return M.faults(source, file, known, {
    has_file = finder(file:match "^(.*)/[^/]*$" or "."), trusted = is_trusted(file),
  })
end

function M.run(ctx, args)
  local files, known = {}, {}
  local words = args.file
  if #words == 0 and #args.project_file == 0 then words = { "." } end
  for _, word in ipairs(words) do
    if lua_files.kind(word) == "directory" then lua_files.walk(word, files) else files[#files + 1] = word end
  end
  local as_project = {}
  for _, file in ipairs(args.project_file) do
    if not as_project[file] then files[#files + 1], as_project[file] = file, true end
  end
  for _, name in ipairs(M.script_globals()) do known[name] = true end
  local faults, lines = {}, {}
  for _, file in ipairs(files) do
    for _, f in ipairs(as_project[file] and check_project(file) or check_file(file, known)) do
      f.field = fail.place(f)
      faults[#faults + 1] = f
      lines[#lines + 1] = ("%s: %s"):format(fail.place(f), f.message)
    end
  end
  if #faults == 0 then
    return ctx:result({ files = #files, faults = 0 }, text.count(#files, "file") .. ": no problems found")
  end
  local summary = ("%s in %s"):format(text.count(#faults, "error"), text.count(#files, "file"))
  ctx:note("moongate: %s", summary)
  ctx:result(report.document({ code = "invalid", message = summary, details = faults }, exit_status.INPUT),
    table.concat(lines, "\n"))
  return exit_status.INPUT
end

return M
