-- sim: a simulated gateway on a local port, in memory. sim.start{...} -> server | nil, err. It invents what it
-- answers: for trials and tests.
--
-- A request's way: service.lua (faults, token, rate limit, body, idempotency), then the resource's handler, then
-- service.lua again (headers, faults, counts). A resource is a file like indexes.lua; to add one, copy that and name
-- the copy in service.resources.
local httpd = require "moongate.httpd"
local control = require "moongate.sim.control"
local faults = require "moongate.sim.faults"
local options = require "moongate.sim.options"
local plain_text = require "moongate.plain_text"
local sealed = require "moongate.sealed"
local service = require "moongate.sim.service"

local M = {}

local Server = {}
local ServerMeta = { __index = Server }

-- What the gateway holds, as GET /__sim/state shows it.
function Server:state() return control.state(self.gateway) end

-- What it was asked and answered, as GET /__sim/stats shows it.
function Server:stats() return self.gateway.stats:report() end

-- Forgets what it holds and counted, tokens too. Fault rules stay and count afresh.
function Server:reset() service.reset(self.gateway) end

-- Adds a fault rule, "status=503,rate=0.05" or a table -> its id | nil, err
function Server:fault(rule) return self.gateway.faults:add(rule) end

-- The rules with how often each has matched and fired.
function Server:faults() return self.gateway.faults:report() end

-- Removes the rule with that id, or all.
function Server:clear_faults(id) self.gateway.faults:clear(id) end

-- Ends the life of every token: the next call with one gets a 401.
function Server:expire_tokens() self.gateway.oauth:expire() end

-- Waits until no webhook delivery is under way or due, at most so many seconds -> whether it is so.
function Server:settle(seconds) return self.gateway.jobs:settle(seconds or 5) end

-- Lets answers under way out, for at most grace seconds, then ends everything. Stopping again is harmless.
function Server:stop(grace)
  self.server:stop(grace)
  self.gateway.jobs:stop()
end

-- Waits until the server has ended.
function Server:join() self.server:join() end

local function close(self)
  self.server:close()
  self.gateway.jobs:stop()
end

local seal = sealed.class("moongate.sim.server", Server, {
  url = true, port = true, client_id = true, client_secret = true, webhook_secret = true,
}, close)

-- Starts a simulated gateway (options.lua has the options) in the current task, with which it ends.
function M.start(opts)
  local o, err = options.read(opts or {})
  if not o then return nil, err end
  local gw = service.new(o)
  for _, rule in ipairs(o.faults) do
    local id
    id, err = gw.faults:add(rule)
    if not id then return nil, err end
  end
  local server
  server, err = httpd.serve {
    host = o.host, port = o.port, tls = o.tls, max_body = o.max_body, max_bodies = o.max_bodies,
    accept = function(req) return service.accept(gw, req) end,
    handler = function(req) return service.handle(gw, req) end,
  }
  if not server then return nil, err end
  gw.url = server.url
  gw.jobs:start()
  return seal(setmetatable({
    server = server, gateway = gw, url = server.url, port = server.port,
    client_id = o.client_id, client_secret = o.client_secret, webhook_secret = gw.webhooks.secret,
  }, ServerMeta))
end

-- "status=503,rate=0.05" -> rule | nil, err: what --fault takes. fault_help: its text for people.
M.parse_fault = faults.parse
M.fault_help = faults.help

-- A file of rules: JSON, one rule, a list of them, or {"rules": [...]} -> rules | nil, err
function M.read_faults(path)
  local text, err = plain_text.text(path)
  if not text then return nil, err end
  return faults.parse_file(text, path)
end

return M
