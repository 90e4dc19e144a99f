-- check.lua - `moongate check FILE...`: syntax errors and unknown globals, all of them, without running anything.
local fail = require "moongate.cli.fail"
local fs = require "moongate.fs"
local globals = require "moongate.cli.globals"
local host = require "moongate.host"
local suggest = require "moongate.cli.suggest"
local text = require "moongate.cli.text"
local errors = require "moongate.error"

local M = {}

local FILE_MAX = 16 << 20
local DEPTH_MAX = 32

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
  for i, token in ipairs(globals.unknown(source, known)) do
    faults[i] = {
      file = file, line = token.line, column = token.column,
      message = ("unknown global '%s'%s"):format(token.text, suggest.hint(token.text, names)),
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
  for _, name in ipairs(host.script_globals()) do known[name] = true end
  local faults, lines = {}, {}
  for _, file in ipairs(files) do
    for _, f in ipairs(check_file(file, known)) do
      faults[#faults + 1] = f
      lines[#lines + 1] = ("%s: %s"):format(fail.place(f), f.message)
    end
  end
  if #faults > 0 then
    local details = {}
    for i, f in ipairs(faults) do details[i] = { field = fail.place(f), message = f.message } end
    error(errors.new {
      code = "invalid", message = ("%s in %s"):format(text.count(#faults, "fault"), text.count(#files, "file")),
      details = details,
    }, 0)
  end
  ctx:result({ files = #files, faults = 0 }, text.count(#files, "file") .. " without a fault")
end

return M
