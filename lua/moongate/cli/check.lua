-- check.lua - `moongate check FILE...`: syntax errors and unknown globals, all of them, without running anything.
local exit_status = require "moongate.cli.exit_status"
local fail = require "moongate.cli.fail"
local fs = require "moongate.fs"
local globals = require "moongate.cli.check.globals"
local host = require "moongate.host"
local parse = require "moongate.cli.check.parse"
local report = require "moongate.cli.report"
local sandbox = require "moongate.sandbox"
local suggest = require "moongate.suggest"
local text = require "moongate.cli.text"

local M = {}

local FILE_MAX = 16 << 20
local DEPTH_MAX = 32

-- The names that a script finds defined.
function M.script_globals()
  local names = { "arg", "_ENV" }
  for name in pairs(sandbox.new(nil)) do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- source -> list of {file, line, column, message}. known: a set of global names.
function M.faults(source, file, known)
  local chunk, message = load(source, "@" .. file, "t")
  if not chunk then
    local line, what = message:match("^.*:(%d+): (.*)$")
    return { { file = file, line = tonumber(line), message = what or message } }
  end
  local names = {}
  for name in pairs(known) do names[#names + 1] = name end
  table.sort(names)
  local faults = {}
  for i, node in ipairs(globals.unknown(parse.chunk(source), known)) do
    faults[i] = {
      file = file, line = node.line, column = node.column,
      message = ("unknown global '%s'%s"):format(node.name, suggest.hint(node.name, names)),
    }
  end
  return faults
end

local function check_file(file, known)
  if file:match("[^/]*$") == "moongate.lua" then
    local faults, err = host.check_project(file)
    return faults or { { file = file, message = err.message } }
  end
  local source, err = fs.read(file, FILE_MAX)
  if not source then return { { file = file, message = err.message } } end
  if source:sub(1, 1) == "#" then source = "--" .. source end -- a shebang line; columns are in the lines below
  return M.faults(source, file, known)
end

-- The .lua files a word stands for.
local function collect(path, files, depth)
  local stat = fs.stat(path)
  if not stat or stat.type ~= "directory" then
    files[#files + 1] = path
    return
  end
  if depth > DEPTH_MAX then return end
  local names, err = fs.list(path)
  if not names then error(err, 0) end
  table.sort(names)
  for _, name in ipairs(names) do
    local below = (path:gsub("/$", "")) .. "/" .. name
    local kind = fs.stat(below)
    if kind and kind.type == "directory" and name:sub(1, 1) ~= "." then
      collect(below, files, depth + 1)
    elseif name:find("%.lua$") then
      files[#files + 1] = below
    end
  end
end

function M.run(ctx, args)
  local files, known = {}, {}
  for _, word in ipairs(args.file) do collect(word, files, 0) end
  for _, name in ipairs(M.script_globals()) do known[name] = true end
  local faults, lines = {}, {}
  for _, file in ipairs(files) do
    for _, f in ipairs(check_file(file, known)) do
      f.field = fail.place(f)
      faults[#faults + 1] = f
      lines[#lines + 1] = ("%s: %s"):format(fail.place(f), f.message)
    end
  end
  if #faults == 0 then
    return ctx:result({ files = #files, faults = 0 }, text.count(#files, "file") .. " without a fault")
  end
  local summary = ("%s in %s"):format(text.count(#faults, "fault"), text.count(#files, "file"))
  ctx:note("moongate: %s", summary)
  ctx:result(report.document({ code = "invalid", message = summary, details = faults }, exit_status.INPUT),
    table.concat(lines, "\n"))
  return exit_status.INPUT
end

return M
