-- cli.lua - the command line: main(argv) finds the command, reads its arguments, runs it in a task of its own,
-- writes its result and gives the exit status. argv is without the global flags, which src/cli/options.c has taken
-- (host.options()).
local bundled = require "moongate.bundled"
local closing = require "moongate.closing"
local command_names = require "moongate.cli.names"
local commands = require "moongate.cli.commands"
local context = require "moongate.cli.context"
local exit_status = require "moongate.exit_status"
local fail = require "moongate.fail"
local flags = require "moongate.flags"
local host = require "moongate.host"
local observe = require "moongate.cli.observe"
local report = require "moongate.cli.report"
local simulated = require "moongate.cli.simulated"
local suggest = require "moongate.suggest"
local task = require "moongate.task"

local M = {}

local function find(list, name)
  for _, command in ipairs(list) do
    if command.name == name then return command end
  end
end

-- argv -> the command's entry, its full name, and the place its own words begin.
local function find_command(argv)
  local command = find(commands.commands, argv[1])
  if not command or not command.commands then return command, argv[1], 2 end
  local sub = find(command.commands, argv[2] or "")
  if sub then return setmetatable({ parent = command }, { __index = sub }), argv[1] .. " " .. argv[2], 3 end
  return command, argv[1], 2
end

-- Commands by what other programs call them. Never a write for what only looks like one.
local MEANT = {
  ls = "list", dir = "list", workflows = "list", show = "describe", cat = "describe", inspect = "describe",
  deploy = "deploy-index", index = "deploy-index", promote = "promote-template", template = "promote-template",
  register = "register-model", configure = "configure-model", route = "route-prompts", chat = "route-prompts",
  diff = "plan", preview = "plan", sync = "apply", push = "apply", rm = "delete", remove = "delete",
  destroy = "delete", curl = "api", request = "api", wait = "watch job", job = "watch job", whoami = "doctor",
  login = "doctor", auth = "doctor", ping = "doctor", status = "runs list", ps = "runs list",
  history = "runs list", resume = "runs resume", log = "audit show", logs = "audit show", init = "new",
  create = "new", shell = "repl", console = "repl", exec = "run", eval = "-e", serve = "sim", mock = "sim",
}

local function meant(word, names)
  local command = MEANT[word:lower()]
  if not command then return suggest.hint(word, names) end
  return (" (did you mean 'moongate %s'?)"):format(command)
end

local function unknown(word)
  if word:sub(1, 1) == "-" then
    local names = {}
    for _, flag in ipairs(commands.globals) do names[#names + 1] = flag[1] end
    local name = word:match("^%-%-?([^=]*)")
    fail.usage("unknown flag %s%s", word:match("^[^=]*"), suggest.hint(name, names, "--"))
  end
  if word:find("%.lua$") or word:find("/") then
    fail.usage("'%s' is not a command (to run a script: moongate run %s)", word, word)
  end
  local catalogue, names = require "moongate.cli.catalogue", command_names.all()
  table.move(catalogue.names(), 1, #catalogue.names(), #names + 1, names)
  fail.usage("unknown command '%s'%s", word, meant(word, names))
end

local function run_command(ctx, command, name, words)
  if ctx.opts.help then return ctx:text(require("moongate.cli.help").of(name, command)) end
  if command.commands and not command.bare and #words == 0 then -- a question rather than a mistake
    return ctx:text(require("moongate.cli.help").of(name, command))
  elseif command.commands and not command.bare then
    local names = command_names.of(command.commands)
    fail.usage("moongate %s needs one of: %s%s", name, table.concat(names, ", "), suggest.hint(words[1] or "", names))
  end
  local args, faults = flags.parse(command, words, { getenv = host.getenv, globals = commands.globals })
  if not args then fail.usage_faults("help " .. (command.module or name), faults) end
  local file = (command.parent or command).module or (command.parent or command).name
  local module = require("moongate.cli." .. file)
  return module[command.parent and command.name or "run"](ctx, args)
end

-- The global flags as C has read them: what it can't judge.
local function check_globals(opts)
  if opts.error then fail.usage("%s", opts.error) end
  for _, flag in ipairs(commands.globals) do
    local value = opts[flags.key(flag[1])]
    local ok, fault = flags.choose(flag, value)
    if not ok then fail.usage("--%s%s %s", flag[1], flag.env and (" (or %s)"):format(flag.env) or "", fault) end
  end
end

-- What the words ask for. Returns an exit status, or nothing for 0.
local function dispatch(ctx, argv)
  check_globals(ctx.opts)
  local word = argv[1]
  if ctx.opts.version then return require("moongate.cli.version").run(ctx) end
  if not word then
    if ctx.opts.help then return ctx:text(require("moongate.cli.help").program()) end
    if (ctx.opts.verbose or 0) > 0 and not ctx.json then
      host.write_err "moongate: no command is given: -v only makes a command say more; -V prints the version\n"
    end
    if not ctx.json then host.write_err(require("moongate.cli.help").program()) end
    return ctx.json and fail.usage("no command is given") or exit_status.USAGE
  end
  local command, name, first = find_command(argv)
  -- `run FILE --help` is about the file.
  if command and not (command.passthrough and argv[first] and ctx.opts.help) then
    local words = table.move(argv, first, #argv, 1, {})
    return simulated.with(ctx, command, observe.traced, ctx, name, run_command, ctx, command, name, words)
  end
  local run = require "moongate.cli.run"
  if command then return run.run(ctx, { script = argv[first], args = table.move(argv, first + 1, #argv, 1, {}) }) end
  local words, path = table.move(argv, 2, #argv, 1, {}), nil
  if not bundled.exists(word) then path = require("moongate.cli.catalogue").find(word) or unknown(word) end
  return simulated.with(ctx, nil, observe.traced, ctx, word, run.workflow, ctx, word, words, path)
end

function M.main(argv)
  local ctx = context.new(host.options())
  local job = task.spawn(function()
    local status = dispatch(ctx, argv)
    ctx:settle()
    return status
  end)
  local status, err = job:join()
  closing.run()
  local alarm = host.audit_written() > 0 and require("moongate.cli.checkpoints").at_end(ctx) or nil
  if job:status() ~= "done" and type(err) == "table" and err.expected then return exit_status.DONE end
  if job:status() ~= "done" then return report.failure(ctx, err) end
  local ok, write_err = ctx:flush()
  if not ok then
    ctx.json = false -- nothing more can go to standard output
    return report.failure(ctx, write_err)
  end
  status = status or exit_status.DONE
  return status == exit_status.DONE and alarm or status
end

return M
