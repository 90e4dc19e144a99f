-- options: what sim.start takes, with defaults. Unknown names and wrong types raise: they are the caller's mistakes.
local M = {}

local specs = {
  host = { "string", "127.0.0.1" },    -- numeric address or "localhost"
  port = { "integer", 0 },             -- 0: a free one
  max_body = { "integer" },            -- bytes of a request's body; default: httpd's
  max_bodies = { "integer" },          -- bytes of all of them together; default: httpd's
  tls = { "table" },                   -- {cert=, key=}: PEM text or paths
  seed = { "integer", 1 },             -- of ids, tokens and faults
  faults = { "table", {} },            -- fault rules: strings or tables, see faults.lua
  client_id = { "string", "sim-client" },
  client_secret = { "string", "sim-secret" },
  scopes = { "table" },                -- list of what the client may be granted; default: every scope there is
  token_ttl = { "integer", 86400 },    -- seconds
  latency = { "number", 0 },           -- seconds before each answer of the API
  rate_limit = { "integer", 300 },     -- requests a minute a token; 0: no limit
  idempotency = { "boolean", true },   -- honour Idempotency-Key on writes
  repeat_writes = { "boolean", false }, -- handle each write that was done once more, as if it had been sent twice
  busy = { "number", 0 },              -- seconds for which an index or a configuration refuses writes after one
  ingest = { "number", 0.2 },          -- seconds that a simulated ingestion takes
  job = { "number", 0.5 },             -- seconds that the registration of a model takes
  job_states = { "table", { "QUEUED", "RUNNING" } }, -- what its job says of itself meanwhile, each for as long
  prompts = { "table", {} },           -- how models behave when prompts are routed to them, see prompts.lua
  model_tokens = { "table" },          -- list of bearer tokens that chat-completions takes; default: any, or none
  any_model = { "boolean", true },     -- chat-completions answers for models that are not registered, too
  webhook_secret = { "any" },          -- string or secret handle; default: made from the seed
  receiver_secrets = { "table" },      -- name -> secret (or a list): what webhooks to /__sim/webhooks/{name} need
  webhook_hosts = { "string", "loopback" }, -- "any": deliver webhooks to every host, not to the loopback only
}

local function type_of(v)
  return math.type(v) == "integer" and "integer" or type(v)
end

local function fits(v, wanted)
  local t = type_of(v)
  return wanted == "any" or t == wanted or (wanted == "number" and t == "integer" and v >= 0) or false
end

local function bad(text, ...)
  error("bad argument #1 to 'start' (" .. text:format(...) .. ")", 4)
end

-- The options with defaults filled in.
function M.read(opts)
  for name in pairs(opts) do
    if not specs[name] then bad("unknown option '%s'", tostring(name)) end
  end
  local o = {}
  if type(opts.seed) == "string" then -- from a flag
    opts = setmetatable({ seed = math.tointeger(tonumber(opts.seed)) or opts.seed }, { __index = opts })
  end
  for name, spec in pairs(specs) do
    local v = opts[name]
    if v == nil then v = spec[2] end
    if v ~= nil and not fits(v, spec[1]) then bad("%s: a %s expected, not a %s", name, spec[1], type_of(v)) end
    o[name] = v
  end
  if o.webhook_hosts ~= "loopback" and o.webhook_hosts ~= "any" then bad [[webhook_hosts: "loopback" or "any"]] end
  if o.token_ttl < 1 then bad "token_ttl: at least 1 second" end
  return o
end

return M
