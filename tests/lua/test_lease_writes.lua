-- Writes and leases: what is held while something is written, and what a lost lease stops. Runs on both forms.
local errors = require "moongate.error"
local fake = require "fake_gateway"
local lease = require "moongate.lease"
local rows = require "moongate.lease.rows"
local stores = require "stores"
local sealed = require "moongate.sealed"
local t = require "moongate.test"

local PLACE = { vectorStoreId = "vs", indexId = "orders" }
local PATH = "/api/v2/ai/vectorstores/vs/indexes/orders"
local NAME = "resource " .. PATH .. " at https://gw.test"

local function config(changes)
  local c = { indexId = "orders", dimensions = 768, similarityMetric = "cosine", embeddingFormat = "float32" }
  for k, v in pairs(changes or {}) do c[k] = v end
  return c
end

local function holding(client_opts)
  local client = fake.client(client_opts)
  client.wrap = true
  client:hold(PATH, config())
  return client
end

local function fails(code, fn)
  local ok, err = pcall(fn)
  t.ok(not ok and errors.is(err), "no error object: " .. tostring(err))
  t.eq(err.code, code, tostring(err))
  return err
end

local function change(gw, dimensions)
  local live = gw:get("index", PLACE)
  live.content.dimensions = dimensions
  return gw:write("index", PLACE, { base = live })
end

stores.each(function(kind, open)
  local function test(name, fn)
    t.test(("%s: %s"):format(kind, name), function()
      local db <close> = open()
      assert(db:exec "DELETE FROM leases")
      local mine = lease.open(db)
      local theirs = lease.open(db, { process = { host = "far", boot = "b", space = "s", pid = 7, started = 1 } })
      fn(mine, theirs, db)
      mine:close()
      theirs:close()
    end)
  end

  local function names(db)
    local out = {}
    for i, row in ipairs(rows.list(db)) do out[i] = row.name end
    return out
  end

  test("what is written is held meanwhile", function(mine, _, db)
    local seen
    local client = holding { before = function(request) if request.method == "PUT" then seen = names(db) end end }
    local scope = mine:scope {}
    local gw = fake.open(client, { leases = function() return scope end })
    t.eq(change(gw, 1024).status, "updated")
    t.eq(seen, { NAME })
    t.eq(names(db), { NAME }) -- a run keeps it
    scope:release()
    t.eq(names(db), {})
  end)

  test("nothing is held for what does not change, nor in a dry run", function(mine, _, db)
    local scope = mine:scope {}
    local gw = fake.open(holding(), { leases = scope })
    t.eq(change(gw, 768).status, "unchanged")
    t.eq(names(db), {})
    gw = fake.open(holding(), { leases = scope, dry_run = true })
    t.eq(change(gw, 1024).status, "planned")
    t.eq(names(db), {})
  end)

  test("what another process holds is not written, and not audited as tried", function(mine, theirs)
    assert(theirs:scope({ run_id = "r9", info = { command = "deploy-index" } }):take(NAME))
    local client = holding()
    local gw, audit = fake.open(client, { leases = mine:scope {} })
    local err = fails("conflict", function() change(gw, 1024) end)
    t.ok(err.message:find("is locked by deploy-index, pid 7 on far, run r9", 1, true), err.message)
    t.eq(client.writes, 0)
    t.eq(#audit.lines, 0)
  end)

  test("who has waited finds it done", function(mine, theirs)
    local client = holding()
    local other = theirs:scope {}
    assert(other:take(NAME))
    local gw = fake.open(client, { leases = mine:scope { wait = 10, note = function()
      client:hold(PATH, config { dimensions = 1024 }) -- the other one writes the very same, and ends
      other:release()
    end } })
    t.eq(change(gw, 1024).status, "unchanged")
    t.eq(client.writes, 0)
  end)

  test("who has waited does not write over what came meanwhile", function(mine, theirs)
    local client = holding()
    local other = theirs:scope {}
    assert(other:take(NAME))
    local gw = fake.open(client, { leases = mine:scope { wait = 10, note = function()
      client:hold(PATH, config { dimensions = 512 })
      other:release()
    end } })
    fails("conflict", function() change(gw, 1024) end)
    t.eq(client.writes, 0)
  end)

  test("a lost lease stops the next write", function(mine, _, db)
    local scope, client = mine:scope {}, holding()
    local gw = fake.open(client, { leases = scope })
    t.eq(change(gw, 1024).status, "updated")
    rows.break_one(db, rows.read(db, { NAME })[NAME])
    local err = fails("conflict", function() change(gw, 512) end)
    t.ok(err.lease_lost)
    t.eq(err.outcome, "not_sent")
    t.eq(client.writes, 1)
  end)

  test("a process that stood still right before sending does not send", function(mine)
    local scope, client = mine:scope {}, holding()
    local gw, audit = fake.open(client, { leases = scope })
    local intent = audit.intent
    audit.intent = function(fields) -- the disk takes a minute
      scope.entries[NAME].good_until = scope.entries[NAME].good_until - 60
      return intent(fields)
    end
    local err = fails("conflict", function() change(gw, 1024) end)
    t.ok(err.message:find("may have run out", 1, true), err.message)
    t.eq(client.writes, 0)
    t.eq(audit.lines[2].status, "conflict")
  end)

  test("templates are held as a whole, models by their names, what has no name not at all", function(mine, _, db)
    local stage = require "moongate.gateway.lease_stage"
    local gw = fake.open(fake.client(), { leases = mine:scope {} })
    local version = stage.name_of(sealed.open(gw), gw:kind "template_version", { templateId = "a" }, "POST", {})
    t.eq(version, stage.name_of(sealed.open(gw), gw:kind "template_rollback", { templateId = "a" }, "DELETE"))
    t.eq(version, "resource /api/v2/ai/prompt-templates/a at https://gw.test")
    t.eq(stage.name_of(sealed.open(gw), gw:kind "model", {}, "POST", { name = "m" }),
      "resource /api/v2/ai/llm-gateway/models?name=m at https://gw.test")
    gw:put_path("/notes/{id}", { text = "x" }, { params = { id = 7 } })
    t.eq(names(db), { "resource /notes/7 at https://gw.test" })
    gw:post_path("/notes", { text = "x" })
    t.eq(#names(db), 1)
  end)
end)

t.test("without a store nothing is sent, and the error says why", function()
  local client = holding()
  local gw = fake.open(client, { leases = function()
    return nil, errors.new { code = "store", message = "/nowhere can't be written", hint = "give --state" }
  end })
  local err = fails("store", function() change(gw, 1024) end)
  t.eq(err.message, "not sent, because the resource can't be locked: /nowhere can't be written")
  t.eq(err.hint, "give --state")
  t.eq(client.writes, 0)
end)
