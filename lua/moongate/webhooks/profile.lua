-- profile.lua - how a webhook's message is signed: which headers carry its id, time and signature, and what is hashed.
-- Both profiles sign "id.timestamp.body" with HMAC-SHA-256; they differ in header names, in ids and in what a key is.
--
--   standard  Standard Webhooks (standardwebhooks.com). A key is "whsec_" and base64, or bytes; several keys sign all.
--   svix      the same under the names that Svix gives them, svix-id and so on.
--   mlflow    MLflow's model-registry webhooks (mlflow/webhooks/delivery.py). A key is its bytes, whatever they begin
--             with; a message has one signature, made with the first key.

local errors = require "moongate.error"
local hash = require "moongate.hash"
local secret = require "moongate.secret"
local time = require "moongate.time"
local uuid = require "moongate.uuid"
local webhook = require "moongate.webhook"

local M = { names = { "standard", "mlflow", "svix" } }

local TOLERANCE = 300 -- seconds, as Standard Webhooks and MLflow's own example have it

-- One key, or a list of them -> a list.
local function keys_of(key)
  if type(key) == "table" and not secret.is(key) then return key end
  return { key }
end

-- ---- MLflow ----

local function mlflow_signature(key, id, timestamp, body)
  local digest = hash.hmac_sha256(key, ("%s.%s.%s"):format(id, timestamp, body))
  return "v1," .. hash.base64((digest:gsub("%x%x", function(byte) return string.char(tonumber(byte, 16)) end)))
end

local function refused(format, ...)
  return nil, errors.new { code = "verify", message = "webhook: " .. format:format(...) }
end

local function verify_mlflow(o, id, timestamp, signature)
  if not timestamp:find("^%d+$") or #timestamp > 15 then return refused("the timestamp is not a number of seconds") end
  local age = (o.now or time.now()) // 1 - math.tointeger(tonumber(timestamp))
  local allowed = o.tolerance or TOLERANCE
  if age > allowed then return refused("the message is %d s old, %d are allowed", age, allowed) end
  if -age > allowed then
    return refused("the timestamp is %d s in the future; at most %d s are allowed", -age, allowed)
  end
  if signature:sub(1, 3) ~= "v1," then return refused("no signature of version v1") end
  local matches = false
  for _, key in ipairs(keys_of(o.secret)) do -- all of them, whichever matches
    matches = hash.equal(mlflow_signature(key, id, timestamp, o.body), signature) or matches
  end
  if not matches then return refused("no signature matches: a wrong secret, or a changed body") end
  return true
end

local function standard(prefix)
  return {
    id = prefix .. "-id", timestamp = prefix .. "-timestamp", signature = prefix .. "-signature",
    new_id = function() return "msg_" .. uuid.v7() end,
    sign = function(key, id, seconds, body)
      local headers, err = webhook.sign { secret = key, id = id, timestamp = seconds, body = body }
      if not headers then return nil, err end
      return headers["webhook-signature"]
    end,
    verify = function(o)
      return webhook.verify {
        secret = o.secret, headers = o.headers, body = o.body, tolerance = o.tolerance, now = o.now,
      }
    end,
  }
end

local PROFILES = {
  standard = standard "webhook",
  svix = standard "svix",
  mlflow = {
    id = "X-MLflow-Delivery-Id", timestamp = "X-MLflow-Timestamp", signature = "X-MLflow-Signature",
    new_id = uuid.v4,
    sign = function(key, id, seconds, body) return mlflow_signature(keys_of(key)[1], id, seconds, body) end,
    verify = verify_mlflow,
  },
}

function M.known(name)
  return PROFILES[name] ~= nil
end

-- A fresh id for a message, the same for every attempt to deliver it.
function M.new_id(name)
  return PROFILES[name].new_id()
end

-- The headers of one attempt: id, time, and the signature unless there is no key -> table | nil, err
function M.headers(name, key, id, seconds, body)
  local profile = PROFILES[name]
  local headers = { [profile.id] = id, [profile.timestamp] = ("%d"):format(seconds) }
  if key == nil then return headers end
  local err
  headers[profile.signature], err = profile.sign(key, id, seconds, body)
  if not headers[profile.signature] then return nil, err end
  return headers
end

-- True for a header that a profile sets itself.
function M.sets(header)
  header = header:lower()
  return header:find "^webhook%-" ~= nil or header:find "^svix%-" ~= nil or header:find "^x%-mlflow%-" ~= nil
end

-- headers of a message that came, names in any case -> name of its profile, its id, time and signature ("" where it has
-- none). Standard where nothing says otherwise.
function M.read(headers)
  local lower = {}
  for name, value in pairs(headers) do
    if type(name) == "string" and type(value) == "string" then lower[name:lower()] = value end
  end
  local name = "standard"
  for _, field in ipairs { "id", "timestamp", "signature" } do
    for _, other in ipairs { "mlflow", "svix" } do
      if lower[PROFILES[other][field]:lower()] and not lower["webhook-" .. field] then name = other end
    end
  end
  local profile = PROFILES[name]
  local function get(field) return lower[profile[field]:lower()] or "" end
  return name, get "id", get "timestamp", get "signature"
end

-- {secret (or a list), headers, body [, tolerance, now]} -> true | nil, err (code verify)
function M.verify(o)
  local name, id, timestamp, signature = M.read(o.headers)
  local profile = PROFILES[name]
  for _, field in ipairs { { "id", id }, { "timestamp", timestamp }, { "signature", signature } } do
    if field[2] == "" then return refused("no %s header", profile[field[1]]) end
  end
  return profile.verify(o, id, timestamp, signature)
end

return M
