-- sim.lua - `moongate sim`: the simulated gateway as a server, until it is stopped.
local fail = require "moongate.fail"
local host = require "moongate.host"
local sim = require "moongate.sim"
local simulated = require "moongate.cli.simulated"

local M = {}

-- Every rule of --fault, --sim-fault and --faults.
local function rules_of(ctx, args)
  local rules = simulated.rules("--fault", args.fault)
  for _, rule in ipairs(simulated.rules("--sim-fault", ctx.opts.sim_fault)) do rules[#rules + 1] = rule end
  if not args.faults then return rules end
  local more, err = sim.read_faults(args.faults)
  if not more then error(err, 0) end
  return table.move(more, 1, #more, #rules + 1, rules)
end

-- What another program, or moongate in another terminal, needs to use it.
local function instructions(server, cacert)
  local lines = {
    ("simulated gateway on %s (Ctrl-C ends it). To use it:"):format(server.url),
    ("  export GENESYSCLOUD_REGION=%s"):format(server.url),
    ("  export GENESYSCLOUD_OAUTHCLIENT_ID=%s"):format(server.client_id),
    ("  export GENESYSCLOUD_OAUTHCLIENT_SECRET=%s"):format(server.client_secret),
  }
  lines[#lines + 1] = ("  export SIM_WEBHOOK_SECRET=%s   # of %s/__sim/webhooks/NAME"):format(server.webhook_secret,
    server.url)
  if cacert then lines[#lines + 1] = ("  export MOONGATE_CACERT=%s"):format(cacert) end
  return table.concat(lines, "\n")
end

-- The option `prompts` from the flags. Every fault in them is a usage error at once.
local function profiles_of(specs)
  local prompts, out, faults = require "moongate.sim.prompts", {}, {}
  for _, spec in ipairs(specs) do
    local model, profile = prompts.parse(spec)
    if model then out[model] = profile else faults[#faults + 1] = "--prompts " .. profile end
  end
  if #faults > 0 then fail.usage_faults("help sim", faults) end
  return out
end

function M.run(ctx, args)
  for _, spec in ipairs(args.fault) do
    if spec == "help" then return ctx:text(sim.fault_help) end
  end
  local tls = args.tls and { cert = args.tls[1], key = args.tls[2] } or nil
  local faults = rules_of(ctx, args)
  local server, err = sim.start {
    host = args.host, port = args.port, seed = ctx.opts.seed, faults = faults, tls = tls,
    token_ttl = math.ceil(args.token_ttl), rate_limit = args.rate_limit, prompts = profiles_of(args.prompts),
    any_model = false, max_body = args.max_body, max_bodies = args.max_bodies,
  }
  if not server then error(err, 0) end
  local stop <close> = server
  host.may_interrupt()
  host.write_err(instructions(server, tls and tls.cert) .. "\n")
  if ctx.json then
    local id, secret = server.client_id, server.client_secret
    ctx:result { url = server.url, port = server.port, client_id = id, client_secret = secret }
    ctx:settle()
    assert(ctx:flush()) -- now: whoever started us waits for it
  end
  stop:join()
end

return M
