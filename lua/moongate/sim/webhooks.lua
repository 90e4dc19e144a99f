-- webhooks: delivers the gateway's events, signed after Standard Webhooks, a few times if it must. To the loopback
-- only, unless told otherwise: a simulator does not call out. What was not delivered, and why, is in the state.
local hash = require "moongate.hash"
local host = require "moongate.host"
local http = require "moongate.http"
local json = require "moongate.json"
local task = require "moongate.task"
local time = require "moongate.time"
local webhook = require "moongate.webhook"

local M = { name = "webhooks", routes = {} }

local Webhooks = {}
Webhooks.__index = Webhooks

local waits = { 0.1, 0.5, 2 } -- seconds before the second, third and fourth attempt
local kept = 1000             -- deliveries

function M.new(gw)
  local secret = gw.options.webhook_secret
    or "whsec_" .. hash.base64(hash.sha256("moongate.sim " .. gw.options.seed):sub(1, 32))
  return setmetatable({ gw = gw, secret = secret, deliveries = {}, counts = {} }, Webhooks)
end

function M.show(self)
  return json.array(table.move(self.deliveries, 1, #self.deliveries, 1, {}))
end

-- One attempt -> status | nil, err
local function attempt(self, delivery, body)
  local headers = webhook.sign {
    secret = self.secret, id = delivery.id, timestamp = math.floor(time.now()), body = body,
  }
  headers["content-type"] = "application/json"
  local res, err = self.client:request { method = "POST", url = delivery.url, headers = headers, body = body }
  if res then return res.status end
  return nil, err
end

local function deliver(self, delivery, body)
  for n = 1, #waits + 1 do
    delivery.attempts = n
    local status, err = attempt(self, delivery, body)
    if status then
      delivery.status, delivery.response = "delivered", status
      self:count "delivered"
      return
    end
    delivery.error, delivery.response = tostring(err), err.status
    if n <= #waits then task.sleep(waits[n]) end
  end
  delivery.status = "failed"
  self:count "failed"
end

function Webhooks:count(status)
  self.counts[status] = (self.counts[status] or 0) + 1
end

-- Delivers event to url, later.
function Webhooks:send(url, event)
  local delivery = { id = "msg_" .. self.gw.rng:hex(1), url = url, type = event.type, attempts = 0, status = "pending" }
  if #self.deliveries == kept then table.remove(self.deliveries, 1) end
  self.deliveries[#self.deliveries + 1] = delivery
  if self.gw.options.webhook_hosts == "loopback" and not host.is_loopback(url) then
    delivery.status = "not delivered: not loopback"
    self:count "refused"
    return
  end
  -- A client of its own: what fails here must not open the breaker, or spend the retry budget, of the program under
  -- test.
  self.client = self.client or http.client { retry = false, breaker = false, deadline = 5, trace = false }
  local body = json.encode(event)
  self.gw.jobs:add(function() deliver(self, delivery, body) end)
end

return M
