-- Kinds whose ids the gateway makes, and which are read at a path of their own: a create that took effect is created,
-- however little its answer says, and a run that was cut off after it is resumed.
local errors = require "moongate.error"
local fake = require "fake_gateway"
local fixture = require "run_fixture"
local t = require "moongate.test"

local SETTINGS = "/api/v2/conversations/summaries/settings"
local KINDS = {
  setting = { path = SETTINGS, list = SETTINGS, item = SETTINGS .. "/{settingId}", create = "POST", lock = "none",
    same = { "name" }, made = { settingId = "id" } },
  note = { path = "/notes/{shelf}", item = "/notes/{shelf}/{noteId}", create = "POST", lock = "none",
    made = { noteId = "number" } },
}

-- Answers a POST with `body` and keeps what it created at its own path.
local function client_of(body, path)
  return fake.client { before = function(request, _, client)
    if request.method ~= "POST" then return nil end
    client:hold(path, request.json)
    return fake.answer(request, 201, body)
  end }
end

t.test("a create is created, and its id and the arguments of its path are in the result", function()
  local client = client_of({ id = "s-7", name = "short" }, SETTINGS .. "/s-7")
  local gw = fake.open(client, { kinds = KINDS })
  local made = gw:write("setting", {}, { content = { name = "short" } })
  t.eq({ made.status, made.id, made.args }, { "created", "s-7", { settingId = "s-7" } })
  t.eq(gw:get("setting", made.args).content, { name = "short" })
end)

t.test("a parameter of the path is taken from the member that the kind names, whatever its type", function()
  local client = client_of({ number = 12 }, "/notes/top/12")
  local gw = fake.open(client, { kinds = KINDS })
  local made = gw:write("note", { shelf = "top" }, { content = { text = "x" } })
  t.eq({ made.status, made.args.shelf, made.args.noteId }, { "created", "top", "12" })
end)

t.test("an answer without the id is no failure of the write", function()
  for _, body in ipairs { { name = "short" }, { id = { "odd" } }, "text" } do
    local gw = fake.open(client_of(body, SETTINGS .. "/s-7"), { kinds = KINDS })
    local made = gw:write("setting", {}, { content = { name = "short" } })
    t.eq({ made.status, made.id }, { "created", nil })
  end
end)

t.test("creates of one name exclude each other by a lease; those without a name don't need one", function()
  local names = {}
  local leases = {
    holds = function() return false end,
    take = function(_, name) names[#names + 1] = name return true end,
    check = function() return true end,
    still = function() return true end,
    while_writing = function(_, _, fn, ...) return pcall(fn, ...) end,
    give_back = function() return true end,
  }
  local gw = fake.open(client_of({ id = "s-7" }, SETTINGS .. "/s-7"), { kinds = KINDS, leases = leases })
  gw:write("setting", {}, { content = { name = "short" } })
  gw:write("note", { shelf = "top" }, { content = { text = "x" } })
  t.eq(#names, 1)
  t.ok(names[1]:find("settings?name=short", 1, true), names[1])
end)

t.test("a run that was cut off right after the create is resumed without a second one", function()
  for batch = 1, 6 do
    for _, when in ipairs { "before", "after" } do
      local db = fixture.store()
      local client = client_of({ id = "s-7", name = "short" }, SETTINGS .. "/s-7")
      local base = client.before
      function client.before(request, n, self)
        if request.method == "GET" and request.path == SETTINGS then
          local held = self.held[SETTINGS .. "/s-7"]
          return fake.answer(request, 200, { entities = held and { { id = "s-7", name = "short" } } or {} })
        end
        return base(request, n, self)
      end
      local definition = fixture.define(function()
        local gw = fake.open(client, { kinds = KINDS })
        local made = gw:write("setting", {}, { content = { name = "short" } })
        return { summary = made.id }
      end)
      local begun, outcome, j, err
      db.crash(batch, when)
      begun, outcome, _, j = pcall(fixture.live, db, definition)
      db.crash(nil)
      if not begun then outcome, _, j = fixture.live(db, definition) end -- the run itself was not begun
      if not outcome then outcome, err = fixture.live(db, definition, { id = j.id }) end
      if outcome then
        t.eq(client:count "POST", 1)
      else -- it is not known whether the request was sent: it is not sent again unasked
        t.eq({ errors.is(err) and err.code, client:count "POST" }, { "unknown_outcome", 0 })
      end
    end
  end
end)
