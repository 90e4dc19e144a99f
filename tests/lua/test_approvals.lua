-- Approvals of a plan: which notes count.
local t = require "moongate.test"
local approvals = require "moongate.approvals"
local fs = require "moongate.fs"
local hash = require "moongate.hash"
local host = require "moongate.host"
local json = require "moongate.json"
local note = require "moongate.note"

local alice, bob = note.generate "alice@example.com", note.generate "bob@example.com"
local settings = { keys = { alice:vkey(), bob:vkey() }, need = 1, irreversible = 2 }
local NOW = 1800000000

local function write_plan(change)
  local plan = {
    format = "moongate.plan/1", gateway = "https://api.example.com",
    resource_changes = json.array {
      { n = 1, address = "index/vs/a", change = { actions = { "create" } }, undo = { possible = change ~= "final" } },
      { n = 2, address = "index/vs/b", change = { actions = { "update" } } },
    },
  }
  local path = t.folder() .. "/plan.json"
  t.ok(fs.write(path, json.encode { id = "sha256:" .. hash.payload(plan), plan = plan, approvals = json.array {} }))
  return path
end

local function denied(path, pattern, now)
  local ok, err = pcall(approvals.check, approvals.read(path), settings, now or NOW)
  t.eq(ok, false)
  t.eq(err.code, "denied")
  t.ok(err.message:find(pattern), err.message)
end

t.test("what is signed names the plan, its gateway, its counts and the expiry", function()
  local document = approvals.read(write_plan())
  t.eq(approvals.text(document, NOW), ("moongate plan\n%s\nhttps://api.example.com 1 create 1 update 0 delete\n"
    .. "expires 2027-01-15T08:00:00Z\n"):format(document.id))
end)

t.test("a note of a known key counts until it expires", function()
  local path = write_plan()
  denied(path, "needs approvals by 1 different keys and has 0")
  t.ok(approvals.append(path, note.generate "eve@example.com", NOW + 60))
  denied(path, "no signature of a known key")
  t.ok(approvals.append(path, alice, NOW + 60))
  t.eq(approvals.check(approvals.read(path), settings, NOW + 59), { (alice:vkey():match "^([^+]*%+[^+]*)") })
  denied(path, "it expired at", NOW + 60)
end)

t.test("what can't be undone needs two different keys", function()
  local path = write_plan "final"
  approvals.append(path, alice, NOW + 60)
  approvals.append(path, alice, NOW + 61)
  denied(path, "by 2 different keys and has 1")
  approvals.append(path, bob, NOW + 60)
  t.eq(#approvals.check(approvals.read(path), settings, NOW), 2)
end)

t.test("a note of another plan does not count, and a changed plan is refused", function()
  local one, other = write_plan(), write_plan "final"
  local document = approvals.read(other)
  document.approvals = { approvals.append(one, alice, NOW + 60), approvals.append(one, bob, NOW + 60) }
  t.ok(fs.write(other, json.encode(document)))
  denied(other, "it is of another plan")
  document.plan.gateway = "https://api.example.org"
  t.ok(fs.write(other, json.encode(document)))
  local ok, err = pcall(approvals.read, other)
  t.eq(ok, false)
  t.eq(err.code, "verify")
end)

-- 10,000 of them, or all there are, under `make soak`.
t.test("a flipped bit anywhere in a note or in the plan is refused", function()
  local path = write_plan()
  local signed = approvals.append(path, alice, NOW + 60)
  local good = t.ok(fs.read(path))
  local first = good:find('"plan":{', 1, true)
  local last = select(2, good:find("%b{}", first + 7))
  math.randomseed(11)
  local all = host.getenv "MOONGATE_SOAK" ~= nil
  local function each(text, from, to, refuses)
    local bits = (to - from + 1) * 8
    for i = 1, all and math.max(bits, 10000) or 300 do
      local bit = all and i <= bits and i - 1 or math.random(bits) - 1
      local at = from + bit // 8
      local changed = text:sub(1, at - 1) .. string.char(text:byte(at) ~ 1 << bit % 8) .. text:sub(at + 1)
      t.eq(refuses(changed), true, ("bit %d of byte %d"):format(bit % 8, at))
    end
  end
  local document = approvals.read(path)
  each(signed, 1, #signed, function(changed)
    document.approvals = { changed }
    return not pcall(approvals.check, document, settings, NOW)
  end)
  each(good, first, last, function(changed)
    t.ok(fs.write(path, changed))
    return not pcall(function() approvals.check(approvals.read(path), settings, NOW) end)
  end)
end)
