-- Every bundled workflow, cut off at each batch of its journal, before and after it is written, and taken up again: the
-- gateway holds what it does after an uninterrupted run, nothing went out twice, each webhook was told, and the result
-- is the same. Runs on both forms of the store (tests/e2e/postgres.t).
local bundled = require "moongate.bundled"
local fixture = require "run_fixture"
local fs = require "moongate.fs"
local gateway = require "moongate.gateway"
local httpd = require "moongate.httpd"
local json = require "moongate.json"
local session = require "sim_session"
local t = require "moongate.test"
local template = require "moongate.template"

local FOLDER = "build/tmp/test_journal_workflows"
assert(fs.mkdir(FOLDER))

local function write(name, value)
  local path = FOLDER .. "/" .. name
  assert(fs.write(path, json.encode(value)))
  return path
end

-- A receiver of webhooks -> its url, the ids and events it was told, close
local function receiver()
  local told = { ids = {}, events = {} }
  local server = assert(httpd.serve { handler = function(req)
    local id = req.headers["webhook-id"]
    if not told.ids[id] then
      told.ids[id] = true
      told.events[#told.events + 1] = req:json().type
    end
    return { status = 204 }
  end })
  return server.url .. "/", told, function() server:stop() end
end

-- What differs from run to run: times, ids, and how the gateway was read back.
local VARY = {
  latency_ms = true, correlation_id = true, last_update = true, sync_event_id = true, webhooks = true, attempts = true,
  audit_seq = true, job_duration_ms = true, job_id = true, model_id = true, audit_id = true, metrics = true,
  updatedAt = true, createdAt = true, id = true, syncEventId = true, modelId = true, validation = true, health = true,
  registeredAt = true, endpointUrl = true, endpoint_url = true, payload_hash = true, payloadHash = true,
}

local function steady(value)
  if type(value) ~= "table" then return value end
  local out = {}
  for k, v in pairs(value) do
    if not VARY[k] then out[k] = steady(v) end
  end
  if out.status == "reconciled" then out.status = "created" end -- the same, found out by looking
  return out
end

local function summed(data)
  local out = steady(data)
  local s = out.summary
  if s then
    for _, name in ipairs { "created", "updated", "promoted", "rolled_back", "rollback_ended" } do
      if s[name] then s.reconciled, s[name] = (s.reconciled or 0) + s[name], nil end
    end
  end
  for _, entry in ipairs(out.results or {}) do
    if entry.status == "updated" or entry.status == "promoted" or entry.status == "rolled_back"
      or entry.status == "rollback_ended" then
      entry.status = "created"
    end
  end
  return out
end

local function posts(server)
  local n = 0
  for name, route in pairs(server:stats().routes) do
    if name:find "^POST /api/" and not name:find "health%-checks" then n = n + route.count end
  end
  return n
end

local REST = { "indexes", "templates", "models", "model_configurations" }

-- case: {name, values, before(server)}. -> what an observer sees of it
local function observe(case, crash, when)
  local server = session.start { job = 0.02 }
  local url, told, close = receiver()
  local db = fixture.store()
  if case.before then case.before(server) end
  local posts_before = posts(server)
  local definition = bundled.load(case.name)
  local values = type(case.values) == "function" and case.values(server) or case.values
  local opts = {
    id = "r", values = values,
    session = {
      project = { webhooks = { all = { url = url } } }, simulated = false, report = function() end,
      note = function() end, progress = nil,
    },
  }
  local journal
  opts.session.gateway = function(options)
    return gateway.open {
      client = session.client(server, options), audit = require("fake_gateway").audit(), journal = journal,
      leases = false, on_conflict = values.on_conflict, kinds = case.kinds,
      log = setmetatable({}, { __index = function()
        return function() end
      end }),
    }
  end
  db.crash(crash, when)
  local outcome, err, j = fixture.live(db, definition, opts)
  local batches = db.batches
  local crashed = err and err.code == "crashed"
  if crashed then
    db.crash(nil)
    -- This process lives, and with it the leases of the one that is played to be gone.
    assert(db.real:exec "UPDATE queue_items SET lease_until = 0 WHERE state = 'running'")
    outcome, err, j = fixture.live(db, definition, opts)
  end
  journal = j
  if not outcome then error(err, 0) end
  local state = server:state()
  local seen = {
    data = summed(outcome.data), exit_status = outcome.exit_status, events = told.events, batches = batches,
    posts = posts(server) - posts_before, crashed = crashed, left = j:left_over(),
  }
  for _, name in ipairs(REST) do seen[name] = steady(state[name]) end
  local models = {} -- their ids vary
  for _, model in pairs(seen.models) do models[#models + 1] = json.encode(model) end
  table.sort(models)
  seen.models = models
  table.sort(seen.events)
  db:close()
  close()
  server:stop()
  return seen
end

local function test(case)
  t.test(case.title or case.name, function()
    local whole = observe(case)
    t.eq(whole.exit_status, 0)
    t.ok(#whole.events > 0, "nobody was told")
    for n = 2, whole.batches do
      for _, when in ipairs { "before", "after" } do
        local seen = observe(case, n, when)
        local what = ("cut off %s batch %d of %d"):format(when, n, whole.batches)
        t.ok(seen.crashed or n == whole.batches, what)
        for _, field in ipairs { "exit_status", "data", "events", "indexes", "templates", "models",
          "model_configurations", "left" } do
          t.eq(seen[field], whole[field], what .. ": " .. field)
        end
        t.ok(seen.posts <= whole.posts + (case.repeats or 0), what .. ": sent twice")
      end
    end
  end)
end

local function index(id, dimensions)
  return write(id .. ".json", {
    indexId = id, dimensions = dimensions, similarityMetric = "cosine", embeddingFormat = "float32",
  })
end

test {
  name = "deploy-index",
  values = {
    config = { index("orders", 8), index("items", 16) }, vector_store = session.STORE, on_conflict = "fail",
    concurrency = 2,
  },
}

local TEMPLATE = write("template.json", {
  templateId = "greeting", version = "1.0.0", content = "Hello {{name}}", variables = { name = "string" },
})

test {
  name = "promote-template", values = { template = { TEMPLATE }, concurrency = 1 },
  repeats = 1, -- a version is created once: a second POST of it is refused
}

-- Two versions of a template, promoted before.
local function two_versions(server)
  local gw = session.gateway(server)
  for _, version in ipairs { "1.0.0", "1.1.0" } do
    local loaded = template.check {
      templateId = "greeting", version = version, content = "Hello {{name}}, " .. version,
      variables = { name = "string" },
    }
    template.promote(gw, loaded, template.look(gw, "greeting", version))
  end
  return gw
end

test {
  title = "promote-template --rollback", name = "promote-template",
  values = { template = {}, id = "greeting", rollback = "1.0.0", concurrency = 1 }, repeats = 1,
  before = two_versions,
}

test {
  title = "promote-template --end-rollback", name = "promote-template",
  values = { template = {}, id = "greeting", end_rollback = true, concurrency = 1 },
  before = function(server)
    local gw = two_versions(server)
    local seen = template.look(gw, "greeting", "1.0.0")
    template.rollback(gw, template.rollback_document("greeting", "1.0.0", seen), seen)
  end,
}

test {
  name = "configure-model",
  values = {
    config = { write("configuration.json", {
      model_id = "5a3e1a00-0000-4000-8000-000000000001", max_tokens = 2048,
      temperature_matrix = { default = 0.5, creative = 1.2, precise = 0.1 },
      safety_filters = json.array { { filter_type = "pii", action = "redact", threshold = 70 } },
    }) }, on_conflict = "fail", concurrency = 1,
  },
}

test {
  name = "register-model", repeats = 1, kinds = { model = { keyed = true } }, -- the simulator honours the key
  values = function(server)
    return {
      model = { write("model.json", {
        name = "summariser", endpoint_url = server.url, auth_credential_id = "cred-1", model_architecture = "openai",
        max_requests_per_minute = 60, max_tokens_per_minute = 60000, parameters = { temperature = 0.2 },
      }) }, synthetic = true, samples = 1, job_deadline = 20, concurrency = 1, token_origin = {},
    }
  end,
}
