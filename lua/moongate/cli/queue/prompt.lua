-- prompt.lua - `moongate queue work|results|set`, and `moongate queue … --kind prompt`: prompts that any number of
-- machines work off.
local exit_status = require "moongate.exit_status"
local fail = require "moongate.fail"
local host = require "moongate.host"
local json = require "moongate.json"
local queues = require "moongate.queue"
local text = require "moongate.text"

local M = {}

local function open() return assert(require("moongate.store").session()) end

-- ---- working ----

local function sum_of(c)
  local parts = { ("%d done"):format(c.done) }
  for _, name in ipairs { "failed", "dead" } do
    if c[name] > 0 then parts[#parts + 1] = ("%d %s"):format(c[name], name) end
  end
  if c.again > 0 then parts[#parts + 1] = text.count(c.again, "further try", "further tries") end
  return table.concat(parts, ", ") .. ("; %.1f s, %.1f/s"):format(c.seconds,
    c.seconds > 0 and (c.done + c.failed + c.dead) / c.seconds or 0)
end

local function definition(args)
  return require("moongate.workflow").define {
    name = "work", summary = "work a queue off",
    run = function(run)
      local router = require "moongate.router"
      -- One request a prompt and turn: every try is counted where all workers' are.
      run:client { concurrency = args.concurrency, retry = { max = 1 } }
      local queue = queues.open(open(), args.queue_name)
      assert(host.audit_run(args.queue_name))
      queue:check_gateway(queues.gateway_of(run))
      local r = router.open { gateway = run.gateway, concurrency = args.concurrency, metrics = run.metrics,
        deadline = run.deadline, limits = run.limits }
      local counts = require("moongate.queue.worker").run(run, queue, r, {
        concurrency = args.concurrency, drain = args.drain, deadline = run.deadline,
        base_url = run.gateway.base_url,
      })
      for _, line in ipairs(r.models:lines()) do run:note(line) end
      run:note(sum_of(counts))
      counts.models, counts.queue, counts.text = r.models:data(), args.queue_name, {}
      counts.exit_status = (counts.failed + counts.dead) > 0 and exit_status.FAILED or 0
      return counts
    end,
  }
end

function M.run(ctx, args)
  if ctx.opts.dry_run then fail.usage("work has no --dry-run: moongate queue list shows what there is to do") end
  require("moongate.cli.settings").check_credentials(ctx)
  if not args.drain then host.may_interrupt() end
  local outcome = require("moongate.cli.observe").run(ctx, "work", function(registry)
    local session = require("moongate.cli.run").session(ctx, registry)
    return require("moongate.workflow").execute(definition(args), {}, session)
  end)
  ctx:result(outcome.data, ctx:lines(outcome.lines))
  return outcome.exit_status
end

-- ---- looking ----

local function limits_of(s)
  return ("at most %d in parallel%s, %s"):format(s.concurrency,
    s.rate > 0 and (", %g a second"):format(s.rate) or "", text.count(s.attempts, "try", "tries"))
end

local function shown(db, name, lines)
  local queue = queues.open(db, name)
  local settings, counts, workers = queue:settings(), queue:status()
  local parts = {}
  for _, state in ipairs(queues.STATES) do
    if counts[state] > 0 then parts[#parts + 1] = ("%d %s"):format(counts[state], state) end
  end
  lines[#lines + 1] = ("%s: %s"):format(name, #parts > 0 and table.concat(parts, ", ") or "empty")
  lines[#lines + 1] = "  " .. limits_of(settings)
  for _, w in ipairs(workers) do
    lines[#lines + 1] = ("  worker %s on %s: %d in flight"):format(w.pid or "?", w.host or "?", w.running)
  end
  return { name = name, counts = counts, settings = settings, workers = workers }
end

-- -> data, lines
function M.listed(_, args)
  local db, list, lines = open(), json.array {}, {}
  local names = args.name and { args.name } or queues.list(db)
  for i, name in ipairs(names) do list[i] = shown(db, name, lines) end
  return { queues = list }, lines
end

function M.status(ctx, args)
  local data, lines = M.listed(ctx, args)
  ctx:result(data, #lines > 0 and table.concat(lines, "\n") or "no queues of prompts")
end

function M.results(ctx, args)
  local queue = queues.open(open(), args.name)
  local outcome = require("moongate.queue.results").write(queue, function(part) return ctx:stream(part) end,
    { follow = args.follow, json = ctx.json })
  if outcome.unfinished > 0 then
    ctx:note("%s not finished yet", outcome.unfinished == 1 and "1 prompt is" or outcome.unfinished .. " prompts are")
  end
  local data = { unfinished = outcome.unfinished, total = outcome.results }
  if outcome.results == 0 then data.results = json.array {} end
  ctx:result(data, "")
  return outcome.unfinished > 0 and exit_status.QUEUED or exit_status.DONE
end

-- ---- changing ----

function M.set(ctx, args)
  local db, changes = open(), {}
  for name in pairs(queues.SETTINGS) do changes[name] = args[name] end
  if next(changes) == nil then fail.usage("queue set needs a limit to set: moongate help queue set") end
  queues.open(db, args.name)
  local settings = queues.create(db, args.name, changes):settings()
  ctx:result({ name = args.name, settings = settings }, ("%s: %s"):format(args.name, limits_of(settings)))
end

function M.retry(ctx, args)
  local n = queues.open(open(), args.name):retry { failed = args.failed }
  ctx:result({ name = args.name, retried = n }, ("%s: %s to be sent again"):format(args.name, text.count(n, "prompt")))
end

function M.drop(ctx, args)
  local what
  for _, name in ipairs { "finished", "dead", "all" } do
    if args[name] then
      if what then fail.usage("queue drop takes one of --finished, --dead and --all") end
      what = name
    end
  end
  if not what then fail.usage("queue drop of prompts needs one of --finished, --dead and --all") end
  local n = queues.open(open(), args.name):drop(what)
  ctx:result({ name = args.name, dropped = n }, ("%s: %s dropped"):format(args.name, text.count(n, "prompt")))
end

return M
