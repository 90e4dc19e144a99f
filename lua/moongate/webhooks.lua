-- webhooks.lua - tells other systems what happened: one signed POST (Standard Webhooks), tried again by the client's
-- own loop. The receiver knows a repeated delivery by its webhook-id.

local errors = require "moongate.error"
local http = require "moongate.http"
local json = require "moongate.json"
local time = require "moongate.time"
local uuid = require "moongate.uuid"
local webhook = require "moongate.webhook"

local M = {}

local DEADLINE = 20 -- seconds for one delivery, all tries included

local OPTIONS = { url = true, secret = true, event = true, data = true, id = true, deadline = true, headers = true }

local function check(opts)
  for key in pairs(opts) do
    if not OPTIONS[key] then error(("webhooks.send: unknown option '%s'"):format(tostring(key)), 3) end
  end
  for _, key in ipairs { "url", "event", "data" } do
    if opts[key] == nil then error(("webhooks.send: %s is missing"):format(key), 3) end
  end
end

-- Standard Webhooks' envelope.
local function envelope(opts, now)
  return json.encode { type = opts.event, timestamp = time.iso(now), data = opts.data }
end

local function headers_of(opts, id, now, body)
  local headers = { ["content-type"] = "application/json" }
  for name, value in pairs(opts.headers or {}) do headers[name] = value end
  if opts.secret == nil then
    headers["webhook-id"], headers["webhook-timestamp"] = id, ("%d"):format(now // 1)
    return headers
  end
  local signed, err = webhook.sign { secret = opts.secret, id = id, timestamp = math.tointeger(now // 1), body = body }
  if not signed then return nil, err end
  for name, value in pairs(signed) do headers[name] = value end
  return headers
end

-- webhooks.send{url, event, data [, secret (handle, string or a list of them), id, deadline = 20, headers]}
--   -> {id, status, attempts}; or nil, err. Delivered means 2xx; a redirect is not followed and is a failure. Without
--   a secret it goes unsigned. The gateway's credential never goes along.
function M.send(opts)
  check(opts)
  local now, id = time.now(), opts.id or "msg_" .. uuid.v7()
  local body, err = envelope(opts, now)
  if not body then return nil, err end
  local headers
  headers, err = headers_of(opts, id, now, body)
  if not headers then return nil, err end
  local response
  response, err = http.post(opts.url, {
    body = body, headers = headers, idempotent = true, deadline = opts.deadline or DEADLINE, family = "webhook",
  })
  if not response then return nil, err end
  if response.status < 200 or response.status > 299 then
    return nil, errors.new {
      code = "http", status = response.status, method = "POST", attempts = #response.attempts, outcome = "final",
      message = response.status < 400
        and ("answered %d: redirects are not followed, give the final URL"):format(response.status)
        or ("answered %d"):format(response.status),
    }
  end
  return { id = id, status = response.status, attempts = #response.attempts }
end

-- webhooks.listening(configured, event) -> list of {name, url, secret, events}, by name: the webhooks of a project
-- file that want the event. One that lists no events wants all.
function M.listening(configured, event)
  local list = {}
  for name, hook in pairs(configured or {}) do
    local wants = hook.events == nil
    for _, e in ipairs(hook.events or {}) do wants = wants or e == event end
    if wants then list[#list + 1] = { name = name, url = hook.url, secret = hook.secret } end
  end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list
end

return M
