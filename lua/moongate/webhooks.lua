-- webhooks.lua - tells other systems what happened: one signed POST, {type, timestamp, data}, tried again for a while.
-- The receiver knows a repeated delivery by its id. A run uses run:webhook; this module is what it stands on, and for
-- scripts that have no run.

local argument = require "moongate.argument"
local http = require "moongate.http"
local json = require "moongate.json"
local clock = require "moongate.gateway.clock"
local attempts = require "moongate.webhooks.attempts"
local merged = require "moongate.merged"
local plain = require "moongate.plain"
local profile = require "moongate.webhooks.profile"
local secret = require "moongate.secret"
local task = require "moongate.task"
local time = require "moongate.time"

local M = { profiles = profile.names }

local OPTIONS = {
  url = true, secret = true, event = true, data = true, id = true, deadline = true, headers = true, profile = true,
  format = true, flat = true,
}

-- The client's retries are off: see attempts.lua.
local tools = {
  client = assert(http.client { retry = false }),
  quick = assert(http.client { retry = false, connect_timeout = attempts.CONNECT }),
  away = {},
  clock = { now = time.now, monotonic = clock.monotonic, sleep = task.sleep, random = clock.random },
}

local function check(opts)
  argument.check(1, "webhooks.send", opts, "table", 2)
  argument.options("webhooks.send", opts, OPTIONS, 2)
  for _, key in ipairs { "url", "event", "data" } do
    if opts[key] == nil then error(("webhooks.send: %s is missing"):format(key), 3) end
  end
  if opts.profile ~= nil and not profile.known(opts.profile) then
    error(("webhooks.send: unknown profile '%s' (there are %s)"):format(tostring(opts.profile),
      table.concat(profile.names, ", ")), 3)
  end
  if opts.format ~= nil and opts.format ~= "standard" and opts.format ~= "flat" then
    error(("webhooks.send: unknown format '%s' (there are %s)"):format(tostring(opts.format),
      table.concat(M.formats, ", ")), 3)
  end
  if type(opts.url) ~= "string" then error("webhooks.send: url must be a string", 3) end
  for name, value in pairs(opts.headers or {}) do
    if profile.sets(name) then error(("webhooks.send: header '%s' is set by the profile"):format(name), 3) end
    if type(value) ~= "string" and not secret.is(value) then
      error(("webhooks.send: header '%s' must be a string or a secret's handle"):format(tostring(name)), 3)
    end
  end
end

M.formats = { "standard", "flat" }

-- The members of data at the top level, beside the event's name and time: what receivers read that know no envelope.
-- more: members that this form has otherwise.
local function flat(event, data, more)
  local body = { event = event, event_type = event, timestamp = time.iso() }
  for _, part in ipairs { data, more or {} } do
    for name, value in pairs(part) do body[name] = value end
  end
  return body
end

local function body_of(opts)
  if opts.format == "flat" and type(opts.data) == "table" and not json.is_array(opts.data) then
    return flat(opts.event, opts.data, opts.flat)
  end
  return { type = opts.event, timestamp = time.iso(), data = opts.data }
end

-- options of send -> the message: {url, body, id, profile, secret, headers, deadline} | nil, err
function M.message(opts)
  check(opts)
  local body, err = plain.encode(body_of(opts))
  if not body then return nil, err end
  local name = opts.profile or "standard"
  return {
    url = opts.url, body = body, id = opts.id or profile.new_id(name), profile = name, secret = opts.secret,
    headers = opts.headers, deadline = opts.deadline,
  }
end

-- Delivers what message made -> as send.
function M.deliver(message)
  return attempts.deliver(message, tools)
end

-- webhooks.send{url, event, data [, format = "standard" | "flat" (the data's members at the top level), flat = members
-- that the flat form has otherwise, secret (handle, string or a list of them), profile = "standard" | "mlflow",
-- headers = {name = string or handle}, id, deadline = 20]}
--   -> {id, status, attempts, attempt_list}; or nil, err, which has id, attempts and attempt_list, too.
-- Delivered means 2xx; a redirect is not followed and is a failure. Each attempt has its own time and signature under
-- one id. Without a secret it goes unsigned. The gateway's credential never goes along.
function M.send(opts)
  local message, err = M.message(opts)
  if not message then return nil, err end
  return M.deliver(message)
end

-- webhooks.verify{secret (or a list), headers, body [, tolerance = 300 s, now]} -> true | nil, err (code verify, with
-- the reason). Both profiles; the headers say which.
M.verify = profile.verify

-- webhooks.listening(configured, event) -> list of {name, url, secret, events, profile, headers}, by name: the webhooks
-- of a project file that want the event. One that lists no events wants all.
function M.listening(configured, event)
  local list = {}
  for name, hook in pairs(configured or {}) do
    local wants = hook.events == nil
    for _, e in ipairs(hook.events or {}) do wants = wants or e == event end
    if wants then
      local copy = merged({ name = name }, hook)
      list[#list + 1] = copy
    end
  end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list
end

return M
