-- target.lua - a webhook as a message in the store names it, and back: where it goes and what signs it. No secret is
-- stored: a webhook of the project file is found again by its name, another one's secrets by the environment variables
-- that hold them. For outbox.lua and what it stands on.
--
-- secret_ref: "project", "env:NAME,NAME", "none" (unsigned), or "run": only the run that made the message had it.

local errors = require "moongate.error"
local host = require "moongate.host"
local json = require "moongate.json"
local secret = require "moongate.secret"
local stored_url = require "moongate.webhooks.stored_url"

local M = {}

-- Begins the URL of what is told to the simulated gateway's receiver, whose port is new each time.
local SIMULATED = "sim:"

-- The simulated gateway's receiver for a webhook's name.
local function receiver(name)
  return require("moongate.auth").info().api_url .. "/__sim/webhooks/"
    .. name:gsub("[^%w_-]", function(c) return ("%%%02X"):format(c:byte()) end)
end

local real = {}

-- M.is_real(url): the URL of a webhook of the project file that is not for what runs now, a test, wherever it is.
function M.is_real(url) real[url] = true end

-- Under --sim nobody outside hears of what never happened: a webhook that is not on this machine is told at the
-- simulated gateway's receiver instead. -> the hook, changed
function M.simulated(hook)
  if host.is_loopback(hook.url) and not real[hook.url] then return hook end
  hook.stored_url, hook.url = SIMULATED .. hook.name, receiver(hook.name)
  return hook
end

-- What the store knows a webhook of the project file by.
function M.url(hook)
  return hook.stored_url or stored_url.of(hook.url)
end

-- With some receivers a URL's path or query is the key: neither log nor trace shows it.
function M.hide_path(url)
  for _, part in ipairs(stored_url.keys(url)) do assert(secret.of(part)) end
end

-- What people are shown of a stored URL.
function M.shown_url(url)
  if url:sub(1, #SIMULATED) == SIMULATED then return "the simulated gateway" end
  return require("moongate.webhooks.attempts").origin(url)
end

-- ---- to the store ----

local PORTS = { http = ":80", https = ":443" }

-- Whether a message for the webhook may outlive the run: what is sent later is sent without the script's permissions,
-- so that a script must not put in what it may not send itself.
function M.may_keep(hook)
  if hook.configured then return true end
  local scheme, authority = hook.url:match "^(%a+)://([^/?#]*)"
  if not scheme then return false end
  authority = authority:gsub("^.*@", "")
  if not authority:find ":%d+$" then authority = authority .. (PORTS[scheme:lower()] or "") end
  return host.allows("net", authority) == true
end

local function secret_ref(hook)
  local keys = hook.secret
  if keys == nil then return "none" end
  if secret.is(keys) or type(keys) ~= "table" then keys = { keys } end
  local names = {}
  for i, key in ipairs(keys) do
    names[i] = secret.is(key) and secret.variable(key) or nil
    if not names[i] then return "run" end
  end
  return "env:" .. table.concat(names, ",")
end

-- Headers as JSON, a secret as {"variable": NAME}; nil for none; false: one of them can't be kept.
local function headers_json(headers)
  local out = {}
  for name, value in pairs(headers or {}) do
    if secret.is(value) then
      local variable = secret.variable(value)
      if not variable then return false end
      value = { variable = variable }
    elseif type(value) ~= "string" then
      return false -- a table would be read as a secret's name
    end
    out[name] = value
  end
  if next(out) == nil then return nil end
  return assert(json.encode(out))
end

local function merged(a, b)
  if not (a and b) then return a or b end
  local out = {}
  for _, headers in ipairs { a, b } do
    for name, value in pairs(headers) do out[name] = value end
  end
  return out
end
M.merged = merged

-- hook: {name, url, secret, profile, headers, configured = whether it is the project file's}, and the headers of this
-- message alone -> url, secret_ref, headers_json | nil, as stored.
function M.store(hook, headers)
  local own = headers_json(hook.configured and headers or merged(hook.headers, headers))
  local ref = hook.configured and "project" or secret_ref(hook)
  local url = hook.configured and M.url(hook) or hook.stored_url or hook.url
  if own == false then return url, "run" end
  return url, ref, own
end

-- ---- from the store ----

local function failed(code, message, hint)
  return nil, errors.new { code = code, message = message, hint = hint, outcome = "not_sent", attempts = 0 }
end

local function stored_headers(text)
  if not text then return {} end
  local headers = assert(json.decode(text))
  for name, value in pairs(headers) do
    if type(value) == "table" then
      local handle, err = secret.env(value.variable)
      if not handle then return nil, err end
      headers[name] = handle
    end
  end
  return headers
end

-- A webhook that the project file does not know as it was is not guessed at: with a store that several projects
-- share, its name may be another one's.
local function of_project(row, place)
  local hook = (place.webhooks or {})[row.webhook]
  local file = "the project file"
  if not hook then return failed("not_found", ("%s has no webhook %s"):format(file, row.webhook)) end
  local copy = { name = row.webhook }
  for k, v in pairs(hook) do copy[k] = v end
  if place.simulated then M.simulated(copy) end
  if M.url(copy) ~= row.url then
    return failed("not_found", ("the webhook %s has another URL in %s than when the message was made"):format(
      row.webhook, file), "moongate queue retry sends it to the new one")
  end
  return copy
end

local function of_environment(row, place)
  local hook = { name = row.webhook, url = row.url, profile = row.profile }
  local simulated = row.url:sub(1, #SIMULATED) == SIMULATED
  if simulated and not place.simulated then
    return failed("not_found", "it was created under --sim, for a simulated gateway that has ended")
  end
  if simulated then
    hook.url, hook.stored_url = receiver(row.webhook), row.url
  elseif place.simulated and not host.is_loopback(row.url) then
    return failed("secret", "it is not for a simulated gateway", "Drop --sim.")
  end
  local names = row.secret_ref:match "^env:(.+)$"
  if not names then return hook end
  hook.secret = {}
  for name in names:gmatch "[^,]+" do
    local handle, err = secret.env(name)
    if not handle then return failed("secret", err.message, "set it, then moongate queue flush --kind message") end
    hook.secret[#hook.secret + 1] = handle
  end
  return hook
end

-- A row of the outbox -> the webhook it is for, and the message's headers; or nil, err. code "not_found": it can't be
-- delivered as things are, and is a dead letter; "secret": not from here, but from elsewhere.
-- place: {webhooks = the project file's, simulated}
function M.find(row, place)
  if row.secret_ref == "run" then
    return failed("not_found", "its secret was only known to the run that made it",
      "give secrets of a script's own webhooks as secret.env")
  end
  local hook, err = (row.secret_ref == "project" and of_project or of_environment)(row, place)
  if not hook then return nil, err end
  M.hide_path(hook.url)
  local headers, why = stored_headers(row.headers_json)
  if not headers then return failed("secret", why.message, "set it, then moongate queue flush --kind message") end
  return hook, headers
end

-- Whether a message may go out from here without more ado: it is for a webhook that the project file has as it was, or
-- for one that needs none.
function M.known(place, row)
  if row.secret_ref == "none" or row.secret_ref:find "^env:" then
    return (row.url:sub(1, #SIMULATED) == SIMULATED) == (place.simulated or false)
  end
  local hook = row.secret_ref == "project" and (place.webhooks or {})[row.webhook]
  if not hook then return false end
  local copy = { name = row.webhook, url = hook.url }
  if place.simulated then M.simulated(copy) end
  return M.url(copy) == row.url
end

return M
