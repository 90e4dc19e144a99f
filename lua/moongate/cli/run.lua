-- run.lua - `moongate run SCRIPT [args]` and `moongate WORKFLOW [args]`: load it, read its arguments, run it, show the result.
local bundled = require "moongate.cli.bundled"
local commands = require "moongate.cli.commands"
local fail = require "moongate.cli.fail"
local flags = require "moongate.cli.flags"
local help = require "moongate.cli.help"
local host = require "moongate.host"
local json = require "moongate.json"
local progress = require "moongate.cli.progress"
local suggest = require "moongate.cli.suggest"

local M = {}

local function is_workflow(v)
  return type(v) == "table" and type(v.run) == "function" and type(v.name) == "string"
end

-- A value for people: text as it is, a table as indented JSON.
function M.shown(v)
  if v == nil then return "" end
  if type(v) == "string" then return (v:gsub("\n$", "")) end
  if type(v) ~= "table" then return tostring(v) end
  local lines = {}
  local function put(value, indent, prefix, suffix)
    if type(value) ~= "table" or next(value) == nil or getmetatable(value) == "moongate.error" then
      lines[#lines + 1] = indent .. prefix .. (json.encode(value) or tostring(value)) .. suffix
      return
    end
    local is_array = json.is_array(value)
    lines[#lines + 1] = indent .. prefix .. (is_array and "[" or "{")
    local keys = {}
    for key in pairs(value) do keys[#keys + 1] = key end
    table.sort(keys, function(a, b) return is_array and a < b or tostring(a) < tostring(b) end)
    for i, key in ipairs(keys) do
      put(value[key], indent .. "  ", is_array and "" or json.encode(tostring(key)) .. ": ", i < #keys and "," or "")
    end
    lines[#lines + 1] = indent .. (is_array and "]" or "}") .. suffix
  end
  put(v, "", "", "")
  return table.concat(lines, "\n")
end

-- words: the script's own. Runs a definition's `run` with its arguments read.
local function run_workflow(ctx, definition, name, words)
  flags.check(definition, commands.globals)
  if ctx.opts.help then return ctx:text(help.of(name, definition)) end
  local values, faults = flags.parse(definition, words, { getenv = host.getenv, globals = commands.globals })
  if not values then fail.usage_faults(name, faults) end
  local workflow = require "moongate.workflow"
  local bar = progress.new(ctx)
  local result, text = workflow.run(definition, values, {
    dry_run = ctx.opts.dry_run, json = ctx.json, progress = bar, project = host.project().data,
    note = function(...) ctx:note(...) end,
  })
  bar:done()
  ctx:result(result, text or M.shown(result))
end

-- The script's words without the "--" that kept moongate's hands off them.
local function plain_words(words)
  local out, seen = {}, false
  for _, word in ipairs(words) do
    if word == "--" and not seen then seen = true else out[#out + 1] = word end
  end
  return out
end

-- chunk: the loaded script. A plain script's first result, if any, is shown.
function M.start(ctx, chunk, name, words)
  local result = chunk(table.unpack(plain_words(words)))
  if is_workflow(result) then return run_workflow(ctx, result, name, words) end
  ctx:result(result, M.shown(result))
end

-- A bundled workflow by its name.
function M.workflow(ctx, name, words)
  return run_workflow(ctx, bundled.load(name), name, words)
end

function M.run(ctx, args)
  local script = args.script
  if bundled.exists(script) then return M.workflow(ctx, script, args.args) end
  local chunk, err = host.load_script(script, plain_words(args.args))
  if not chunk then
    if err.code == "not_found" then
      err.hint = ("a file, or one of the bundled workflows: %s%s"):format(table.concat(bundled.names(), ", "),
        suggest.hint(script, bundled.names()))
    end
    error(err, 0)
  end
  return M.start(ctx, chunk, script, args.args)
end

return M
