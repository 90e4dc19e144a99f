-- simulated.lua - `--sim` on any command: a simulated gateway of its own on a free loopback port, for as long as the
-- command runs. The session's credentials are replaced by the simulator's before anything asks for them; the user's
-- own never leave.
local fail = require "moongate.fail"
local host = require "moongate.host"

local M = {}

-- Commands that talk to no gateway, or are one.
local WITHOUT = {
  sim = true, check = true, help = true, version = true, types = true, completion = true, list = true, show = true,
  test = true, new = true, audit = true, webhook = true,
}

-- Specs of faults as flag gave them -> rules. Every fault in them is a usage error at once.
function M.rules(flag, specs)
  local sim, rules, faults = require "moongate.sim", {}, {}
  for _, spec in ipairs(specs) do
    local rule, err = sim.parse_fault(spec)
    rules[#rules + 1] = rule
    if not rule then faults[#faults + 1] = ("%s '%s': %s"):format(flag, spec, err.message) end
  end
  if #faults > 0 then fail.usage_faults("help sim", faults) end
  return rules
end

-- The secrets of the project file's webhooks, for the simulated receivers that stand in for them. One that is not set
-- is told of elsewhere.
local function receiver_secrets()
  local secret, secrets = require "moongate.secret", {}
  for name, hook in pairs(host.project().data.webhooks or {}) do
    local key = hook.secret
    if secret.is(key) or (type(key) == "table" and secret.is(key[1])) then secrets[name] = key end
  end
  return secrets
end

-- Calls fn(...) with a simulated gateway behind the session when --sim was given and the command can use one.
function M.with(ctx, command, fn, ...)
  local name = command and (command.parent or command).name
  if not ctx.opts.sim or ctx.opts.help or WITHOUT[name] then return fn(...) end
  local sim = require "moongate.sim"
  local server, err = sim.start {
    seed = ctx.opts.seed, faults = M.rules("--sim-fault", ctx.opts.sim_fault), receiver_secrets = receiver_secrets(),
  }
  if not server then error(err, 0) end
  local stop <close> = server
  local ok
  ok, err = host.use_gateway(server.url, server.client_id, server.client_secret)
  if not ok then error(err, 0) end
  local result = fn(...)
  stop:settle(1) -- webhooks on their way
  return result
end

return M
