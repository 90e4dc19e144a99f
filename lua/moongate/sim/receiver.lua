-- receiver: takes webhooks, as the systems that moongate tells would. POST /__sim/webhooks/{name}, no token. What came
-- is in the state. One whose secret is known (option receiver_secrets) must be signed with it, else the answer is 401;
-- of any other it is noted whether the simulator's own secret verifies it. Fault rules make it answer 410, 429, 500 or
-- nothing, as any path: path=/__sim/webhooks/*.
local errors = require "moongate.sim.errors"
local json = require "moongate.json"
local profile = require "moongate.webhooks.profile"
local safe = require "moongate.safe_json"

local M = { name = "receiver" }

local KEPT = 1000        -- deliveries of each name
local KEPT_BODY = 16384  -- bytes
local KEPT_IDS = 100000  -- remembered of each name, to tell repeated ones

-- name -> {received, repeated, refused, last, first, ids, known}
function M.new()
  return {}
end

-- Deliveries of one name, oldest first.
local function in_order(box)
  local list = {}
  for i = 1, #box.last do list[i] = box.last[(box.first + i - 2) % #box.last + 1] end
  return json.array(list)
end

function M.show(state)
  local out = {}
  for name, box in pairs(state) do
    out[name] = {
      received = box.received, repeated = box.repeated, refused = box.refused, deliveries = in_order(box),
    }
  end
  return out
end

local function box_of(state, name)
  state[name] = state[name] or { received = 0, repeated = 0, refused = 0, last = {}, first = 1, ids = {}, known = 0 }
  return state[name]
end

local function keep(box, delivery)
  if #box.last < KEPT then
    box.last[#box.last + 1] = delivery
  else
    box.last[box.first] = delivery
    box.first = box.first % KEPT + 1
  end
end

-- Whether the id came before.
local function repeated(box, id)
  if box.ids[id] then return true end
  if box.known < KEPT_IDS then
    box.ids[id] = true
    box.known = box.known + 1
  end
  return false
end

local function receive(gw, call)
  local req, name = call.req, call.params.name
  local box, known = box_of(gw.receiver, name), (gw.options.receiver_secrets or {})[name]
  local style, id, timestamp, signature = profile.read(req.headers)
  local ok, err
  if known or signature ~= "" then
    ok, err = profile.verify { secret = known or gw.webhooks.secret, headers = req.headers, body = req.body }
  end
  local value = req:json()
  local delivery = {
    id = id ~= "" and id or nil, at = call.at, timestamp = tonumber(timestamp), profile = style,
    signed = signature ~= "", verified = ok == true, reason = err and err.message or nil,
    type = type(value) == "table" and value.type or nil, body = safe.cut(req.body, KEPT_BODY),
    source = req.headers["x-audit-source"],
  }
  if known and not ok then
    delivery.refused = true
    box.refused = box.refused + 1
    keep(box, delivery)
    return errors.response(call, 401, "bad.signature", err.message)
  end
  box.received = box.received + 1
  if id ~= "" and repeated(box, id) then
    delivery.repeated = true
    box.repeated = box.repeated + 1
  end
  keep(box, delivery)
  return { status = 204 }
end

M.routes = {
  { "POST", "/__sim/webhooks/{name}", open = true, handler = receive },
}

return M
