-- leftovers.lua - webhook messages that earlier runs left go out beside the run that begins: those that are due, each
-- once, a few at a time. It never holds the run up, nor fails it; what is under way at its end has a little time.
local closing = require "moongate.closing"
local host = require "moongate.host"
local log = require "moongate.log"

local M = {}

local AT_MOST = 100
local AT_THE_END = 3 -- seconds

local function parts_of(counts)
  local parts = {}
  for _, part in ipairs { { "delivered", "delivered" }, { "pending", "tried again later" }, { "dead", "given up" } } do
    local n = counts[part[1]]
    if n > 0 then parts[#parts + 1] = ("%d %s"):format(n, part[2]) end
  end
  return parts
end

local function tell(ctx, counts)
  local parts = parts_of(counts)
  if #parts == 0 then return end
  ctx:note("webhooks of earlier runs: %s (moongate queue list)", table.concat(parts, ", "))
end

-- They go out until the program ends. opts: metrics, apart_from = id of a run that looks after its own. Not in a dry
-- run, and not under --sim: nobody outside hears of what never happened.
function M.send(ctx, opts)
  if ctx.opts.dry_run or ctx.opts.sim then return end
  local counts, env = require("moongate.outbox.sender").empty(), nil
  local job = host.background(function()
    local has_project, project = pcall(require("moongate.cli.settings").project)
    if not has_project then return end -- which others tell of
    local outbox = require "moongate.outbox"
    local ok, err = pcall(function()
      env = outbox.env {
        db = assert(require("moongate.store").session()), audit = require "moongate.audit", metrics = opts.metrics,
        log = { warn = function() end, error = log.error }, webhooks = project.webhooks, -- one line says it all
      }
      outbox.leftovers(env, { limit = AT_MOST, counts = counts, apart_from = opts.apart_from })
    end)
    if not ok then log.warn("webhooks of earlier runs: %s", tostring(err)) end
  end)
  closing.add("outbox", function()
    job:join(AT_THE_END)
    if job:status() ~= "done" then
      job:cancel()
      job:join()
      if env then
        require("moongate.outbox.delivery").abandon(env, function(state)
          require("moongate.outbox.sender").count(counts, state)
        end)
      end
    end
    tell(ctx, counts)
  end)
end

-- Passes the outcome on; how many messages lie in the store goes into the registry, if there is one.
function M.measured(ctx, registry, outcome)
  if not registry or ctx.opts.dry_run then return outcome end
  local ok, err = pcall(function()
    require("moongate.outbox").measure(assert(require("moongate.store").session()), registry)
  end)
  if not ok then log.warn("webhooks' messages can't be counted: %s", tostring(err)) end
  return outcome
end

return M
