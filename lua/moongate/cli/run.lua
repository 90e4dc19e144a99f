-- run.lua - `moongate run SCRIPT [args]` and `moongate WORKFLOW [args]`: load it, read its arguments, run it, show
-- the result.
local bundled = require "moongate.bundled"
local commands = require "moongate.cli.commands"
local fail = require "moongate.fail"
local flags = require "moongate.flags"
local host = require "moongate.host"
local permissions = require "moongate.cli.permissions"
local observe = require "moongate.cli.observe"
local raised = require "moongate.raised"
local report = require "moongate.cli.report"
local sandbox = require "moongate.sandbox"
local suggest = require "moongate.suggest"

local M = {}

local SCRIPT_MAX = 16 << 20
-- A value for people: text as it is, a table as indented JSON.
function M.shown(v)
  if v == nil then return "" end
  if type(v) == "string" then return (v:gsub("\n$", "")) end
  if type(v) ~= "table" then return tostring(v) end
  return require("moongate.indented").json(v)
end

-- The project file as a workflow sees it: a script gets the gateway's own secrets and the key of the audit log's
-- checkpoints not even as handles.
local function project_of()
  local project = require("moongate.cli.settings").project()
  if project.gateway then project.gateway.client_secret, project.gateway.access_token = nil, nil end
  if project.audit then project.audit.key = nil end
  return project
end

-- Checkpoints of the audit log while the run goes on, where the project file wants them.
local function watch(ctx)
  local declared = host.project().data.audit
  if declared and declared.every then require("moongate.cli.checkpoints").watch(ctx) end
end

-- The session that a workflow runs in (workflow.execute).
function M.session(ctx, registry)
  return {
    metrics = registry,
    dry_run = ctx.opts.dry_run, queue = ctx.opts.queue, json = ctx.json, deadline = ctx.opts.deadline,
    retries = ctx.opts.retries,
    simulated = ctx.opts.sim,
    project = project_of(),
    progress = function(...) return require("moongate.cli.progress").new(ctx, ...) end,
    note = function(line) ctx:note("%s", line) end,
    confirm = function(what, question) return require("moongate.cli.confirm").ask(ctx, what, question) end,
    stream = function(text) return ctx:stream(text) end,
    store = function() return require("moongate.store").session() end,
    report = function(err) report.tell(ctx, raised.normal(err)) end,
  }
end

-- M.values(definition, name, words [, kept(variable, ask) = of an earlier life of the run]) -> the values of its
-- arguments and flags, and what the environment gave. Raises every fault, and what it is not allowed.
function M.values(definition, name, words, kept)
  flags.check(definition, commands.globals)
  local own, env = bundled.exists(name), {}
  local getenv, check_environment = permissions.environment()
  if own then getenv = host.getenv end
  if kept then
    local ask = getenv
    getenv = function(variable) return kept(variable, ask) end
  end
  local values, faults = flags.parse(definition, words, { globals = commands.globals, getenv = function(variable)
    env[variable] = getenv(variable)
    return env[variable]
  end })
  check_environment(", or give the flag itself")
  if not own then permissions.check(definition.name, definition.permissions) end
  if values then return values, env end
  fail.usage_faults(own and "help " .. name or ("run %s --help"):format(name), faults)
end

-- M.carry_out(ctx, definition, values, within) -> exit status. within(execute(journal | nil) -> outcome) -> outcome.
function M.carry_out(ctx, definition, values, within)
  local leftovers = require "moongate.cli.leftovers"
  local outcome = observe.run(ctx, definition.name, function(registry)
    return leftovers.measured(ctx, registry, within(function(j)
      leftovers.send(ctx, { metrics = registry, apart_from = j and j.id })
      watch(ctx)
      local session = M.session(ctx, registry)
      session.journal = j
      return require("moongate.workflow").execute(definition, values, session)
    end))
  end)
  ctx:result(outcome.data, ctx:lines(outcome.lines))
  return outcome.exit_status
end

-- The gateway that a run is against, as its record names it.
function M.gateway(ctx)
  return ctx.opts.sim and "sim" or require("moongate.auth").info().api_url
end

-- words: the script's own. source() -> {script, hash, bundled}; nil: it could not be found again.
local function run_workflow(ctx, definition, name, words, source)
  if ctx.opts.help then
    flags.check(definition, commands.globals)
    return ctx:text(require("moongate.cli.help").of(name, definition))
  end
  local values, env = M.values(definition, name, words)
  if not (definition.offline and definition.offline(values)) then
    require("moongate.cli.settings").check_credentials(ctx)
  end
  return M.carry_out(ctx, definition, values, function(execute)
    local journaled = require "moongate.cli.journaled"
    if not source or not journaled.wanted(ctx, definition, values) then return execute(nil) end
    local what = {
      definition = definition, words = words, source = source(), env = env, gateway = M.gateway(ctx),
      run_id = definition.run_id and definition.run_id(values),
    }
    return journaled.begin(ctx, what, execute)
  end)
end

-- The script's words without the "--" that kept moongate's hands off them.
function M.plain_words(words)
  local out, seen = {}, false
  for _, word in ipairs(words) do
    if word == "--" and not seen then seen = true else out[#out + 1] = word end
  end
  return out
end

-- chunk: the loaded script. The first result of a plain one, if there is any, is shown.
function M.start(ctx, chunk, name, words, source)
  host.seal()
  watch(ctx)
  local result = require("moongate.outcome").checked(chunk(table.unpack(M.plain_words(words))))
  if type(result) == "table" and type(result.run) == "function" and require("moongate.workflow").is(result) then
    return run_workflow(ctx, result, name, words, source)
  end
  if ctx.opts.help then return ctx:text("This script is not a workflow: it declares no arguments.") end
  ctx:result(result, M.shown(result))
end

-- What a plain script finds in `arg`.
function M.globals(name, words)
  local arg = M.plain_words(words)
  arg[0] = name
  return { arg = arg }
end

-- A workflow by its name: of the file at path, which the catalogue has found, or a bundled one.
function M.workflow(ctx, name, words, path)
  if path then
    local chunk, err = sandbox.load_script(path, M.globals(path, words))
    if not chunk then error(err, 0) end
    return M.start(ctx, chunk, name, words, function() return M.source(path) end)
  end
  return run_workflow(ctx, bundled.load(name), name, words, function()
    return { script = name, hash = bundled.hash(name), bundled = true }
  end)
end

-- A script's file, as a run's record names it.
function M.source(path)
  local text = require("moongate.fs").read(path)
  local full = path:sub(1, 1) == "/" and path or ("%s/%s"):format(host.cwd(), path)
  return { script = full, hash = text and require("moongate.hash").sha256(text) }
end

-- A script that comes from standard input or a pipe can be read only once. Where a run of it is kept, the record has
-- its hash, and resuming it needs a file.
local function run_stream(ctx, script, words)
  local text, err
  if script == "-" then text, err = host.read_stdin() else text, err = host.fs.read(script, SCRIPT_MAX) end
  if not text then error(err, 0) end
  local name = script == "-" and "stdin" or script
  local chunk
  chunk, err = sandbox.load_chunk(text, "@" .. name, ".", M.globals(script, words))
  if not chunk then error(err, 0) end
  return M.start(ctx, chunk, name, words, function()
    return { script = name, hash = require("moongate.hash").sha256(text) }
  end)
end

function M.run(ctx, args)
  local script = args.script
  if bundled.exists(script) then return M.workflow(ctx, script, args.args) end
  local info = script ~= "-" and host.fs.stat(script)
  if script == "-" or (info and info.type == "other") then return run_stream(ctx, script, args.args) end
  local path = not host.fs.stat(script) and require("moongate.cli.catalogue").find(script)
  if path then return M.workflow(ctx, script, args.args, path) end
  local chunk, err = sandbox.load_script(script, M.globals(script, args.args))
  if not chunk then
    if err.code == "not_found" then
      local names = require("moongate.cli.catalogue").names()
      err.hint = ("give a file, or the name of a workflow: %s%s"):format(table.concat(names, ", "),
        suggest.hint(script, names))
    end
    error(err, 0)
  end
  return M.start(ctx, chunk, script, args.args, function() return M.source(script) end)
end

return M
