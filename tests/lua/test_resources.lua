-- Resources as a command line names them, and the workflow delete on kinds with an ETag.
local bundled = require "moongate.bundled"
local errors = require "moongate.error"
local fake = require "fake_gateway"
local gateway = require "moongate.gateway"
local resources = require "moongate.resources"
local t = require "moongate.test"
local workflow = require "moongate.workflow"

local KINDS = {
  note = { path = "/shelves/{shelf}/notes/{note}", list = "/shelves/{shelf}/notes", removable = true,
    names = { "memo" } },
}
local gw = fake.open(fake.client(), { kinds = KINDS })

local function fails(code, fn)
  local ok, err = pcall(fn)
  t.eq({ ok, errors.is(err) and err.code or tostring(err) }, { false, code })
  return err
end

t.test("a kind has several names; its own wins", function()
  for word, name in pairs {
    note = "note", notes = "note", Memo = "note", ["model-configuration"] = "model_configuration",
    templates = "template_version", model = "registered_model", indices = "index",
  } do t.eq(resources.kind(gw, word).name, name) end
  local own = fake.open(fake.client(), { kinds = { template = { path = "/t/{id}" } } })
  t.eq(own:kind("template").name, "template")
end)

t.test("ids are the parameters of the path, percent-encoded; parents come first", function()
  local kind = gw:kind "note"
  t.eq(resources.place(kind, "a/b"), { shelf = "a", note = "b" })
  t.eq(resources.place(kind, "a%2Fx/b"), { shelf = "a/x", note = "b" })
  t.eq(resources.place(kind, "b", "a"), { shelf = "a", note = "b" })
  t.eq(resources.place(kind, "a/b", "other"), { shelf = "a", note = "b" })
  t.eq(resources.address(kind, { shelf = "a/x", note = "ü" }), "note/a%2Fx/%C3%BC")
  local odd = { shelf = "a/x", note = "ü" }
  t.eq(resources.place(kind, resources.address(kind, odd):sub(6)), odd)
  t.eq(resources.listing(kind, "a"), { shelf = "a" })
  for _, id in ipairs { "b", "a/b/c", "", "a/" } do fails("usage", function() resources.place(kind, id) end) end
  fails("usage", function() resources.listing(kind) end)
  fails("usage", function() resources.place(gw:kind "prompt", "x") end)
end)

t.test("a table leaves out empty columns, and holds control characters back", function()
  local bodies = { { id = "x\n\27[2J", a = { b = 5 } }, { id = "y" } }
  local lines = resources.table({ columns = { "id", "/a/b", "none" } }, bodies)
  t.eq(lines, { "ID      B", "x  [2J  5", "y       -" })
end)

-- delete on one note, with the given client; answers to the question
local function delete(client, answer, flags)
  local asked = {}
  local values = { kind = "note", id = { "a/b" }, concurrency = 1 }
  for k, v in pairs(flags or {}) do values[k] = v end
  local ok, outcome = pcall(workflow.execute, bundled.load "delete", values, {
    audit = fake.audit(), project = {},
    gateway = function(_, run)
      return gateway.open {
        client = client, audit = run.audit, clock = fake.clock(), leases = false, kinds = KINDS, dry_run = run.dry_run,
      }
    end,
    note = function() end,
    confirm = function(_, question)
      asked[#asked + 1] = question
      return answer
    end,
  })
  return ok, outcome, asked
end

t.test("delete asks, and deletes what was shown", function()
  local client = fake.client()
  client:hold("/shelves/a/notes/b", { text = "x" })
  local ok, err, asked = delete(client, false)
  t.eq({ ok, err.code, #asked, client:count "DELETE" }, { false, "denied", 1, 0 })
  local outcome
  ok, outcome, asked = delete(client, true)
  t.eq({ ok, outcome.exit_status, #asked, client:count "DELETE" }, { true, 0, 1, 1 })
  t.eq(client.held["/shelves/a/notes/b"], nil)
  ok, err, asked = delete(client, true)
  t.eq({ ok, err.code, #asked }, { false, "not_found", 0 })
end)

t.test("delete leaves alone what was changed after it was shown", function()
  local client = fake.client()
  client:hold("/shelves/a/notes/b", { text = "x" })
  function client.before(request, _, self)
    if request.method == "DELETE" then self:hold("/shelves/a/notes/b", { text = "theirs" }) end
  end
  local ok, outcome, asked = delete(client, true, { yes = true })
  t.eq({ ok, outcome.exit_status, #asked }, { true, 5, 0 })
  t.ok(client.held["/shelves/a/notes/b"])
end)
