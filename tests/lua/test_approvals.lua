-- Approvals of a plan: which notes count.
local t = require "moongate.test"
local approvals = require "moongate.approvals"
local fs = require "moongate.fs"
local hash = require "moongate.hash"
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

t.test("a flipped bit anywhere in a note: it does not count", function()
  local path = write_plan()
  local text = approvals.append(path, alice, NOW + 60)
  local document = approvals.read(path)
  for i = 1, #text do
    local bit = 1 << (i % 7)
    document.approvals = { text:sub(1, i - 1) .. string.char(text:byte(i) ~ bit) .. text:sub(i + 1) }
    t.eq(pcall(approvals.check, document, settings, NOW), false)
  end
end)
