-- test_webhook.lua - Standard Webhooks as scripts see them. Whole deliveries: test_webhooks.lua.
local t = require "moongate.test"
local secret = require "moongate.secret"
local webhook = require "moongate.webhook"

local SECRET, ID, SENT = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330
local BODY = '{"test": 2432232314}'

local function signed(changes)
  local o = { secret = SECRET, id = ID, timestamp = SENT, body = BODY }
  for k, v in pairs(changes or {}) do o[k] = v end
  return webhook.sign(o)
end

local function verify(headers, changes)
  local o = { secret = SECRET, headers = headers, body = BODY, now = SENT }
  for k, v in pairs(changes or {}) do o[k] = v end
  return webhook.verify(o)
end

t.test("the published vector", function()
  local h = assert(signed())
  t.eq(h["webhook-signature"], "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
  t.eq(h["webhook-id"], ID)
  t.eq(h["webhook-timestamp"], "1614265330")
  t.eq(verify(h), true)
end)

t.test("headers come in any case", function()
  local h = assert(signed())
  local other = {}
  for name, value in pairs(h) do other[name:upper()] = value end
  t.eq(verify(other), true)
  t.eq(verify(setmetatable({}, { __index = function(_, name) return h[name] end })), true)
end)

t.test("keys rotate, handles are keys", function()
  local old, new = secret.random(24), SECRET
  local h = assert(signed { secret = { new, old } })
  t.eq(verify(h, { secret = old }), true)
  t.eq(verify(h, { secret = new }), true)
  t.eq(verify(h, { secret = { "other", new } }), true)
  t.fails("verify", verify(h, { secret = { "other", "another" } }))
end)

t.test("what is refused, and why", function()
  local h = assert(signed())
  t.ok(t.fails("verify", verify(h, { body = BODY .. " " })).message:find "no signature matches")
  t.ok(t.fails("verify", verify(h, { now = SENT + 301 })).message:find "301 s old")
  t.ok(t.fails("verify", verify(h, { now = SENT - 301 })).message:find "in the future")
  t.eq(verify(h, { now = SENT + 1000, tolerance = 1000 }), true)
  t.ok(t.fails("verify", webhook.verify { secret = SECRET, headers = h, body = BODY }).message:find "s old")
  for name in pairs(h) do
    local less = {}
    for k, v in pairs(h) do if k ~= name then less[k] = v end end
    t.ok(t.fails("verify", verify(less)).message:find(name, 1, true))
  end
end)

t.test("mistakes", function()
  t.fails("invalid", signed { secret = "whsec_not base64" })
  t.fails("invalid", signed { id = "a.b" })
  t.fails("invalid", signed { id = "a\r\nX: y" })
  t.raises(webhook.sign, "unknown option 'key'", { key = 1 })
  t.raises(webhook.sign, "secret: string expected", { id = ID, body = BODY })
  t.raises(webhook.sign, "secret: a list of 1 to 8", { secret = {}, id = ID, body = BODY })
  t.raises(webhook.sign, "timestamp: seconds", { secret = SECRET, id = ID, body = BODY, timestamp = "now" })
  t.raises(webhook.verify, "headers: table", { secret = SECRET, body = BODY })
  t.raises(webhook.verify, "unknown option 'header'", { header = {} })
end)

t.test("the time is now when none is given", function()
  local h = assert(webhook.sign { secret = SECRET, id = ID, body = BODY })
  t.eq(webhook.verify { secret = SECRET, headers = h, body = BODY }, true)
end)
