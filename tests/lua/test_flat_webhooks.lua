-- Bodies for receivers that know no envelope, and the webhook that a registration names itself.
local t = require "moongate.test"
local json = require "moongate.json"
local webhooks = require "moongate.webhooks"

local function body(opts)
  opts.url, opts.event = "http://127.0.0.1:1/x", "thing_changed"
  return json.decode(webhooks.message(opts).body)
end

t.test("flat: the data's members at the top level, the event's name beside them", function()
  local flat = body { data = { id = 7, status = "DONE", event_type = "own" }, format = "flat" }
  t.eq({ flat.id, flat.status, flat.event, flat.event_type, flat.data }, { 7, "DONE", "thing_changed", "own", nil })
  t.ok(flat.timestamp)
  t.eq(body({ data = { status = "A", timestamp = "then" }, format = "flat", flat = { status = "B" } }).status, "B")
  local standard = body { data = { status = "A" }, flat = { status = "B" } }
  t.eq({ standard.type, standard.data.status, standard.status }, { "thing_changed", "A", nil })
end)

t.test("flat: data that has no members keeps the envelope; an unknown format is refused", function()
  t.eq(body({ data = "text", format = "flat" }).data, "text")
  t.eq(body({ data = json.array { 1 }, format = "flat" }).data, { 1 })
  t.raises(function() body { data = {}, format = "flatt" } end, "unknown format 'flatt'")
end)
