-- Every bundled workflow, with each of its requests failing in turn in each way, and resumed: against the simulator and
-- against a gateway as the tutorials describe it. The gateway then holds what it does after a run without failures, and
-- nothing was created twice. What can't be known is said, with the way on; --redo then finishes it.
local bundled = require "moongate.bundled"
local errors = require "moongate.error"
local fake = require "fake_gateway"
local fixture = require "run_fixture"
local fs = require "moongate.fs"
local gateway = require "moongate.gateway"
local http = require "moongate.http"
local json = require "moongate.json"
local session = require "sim_session"
local standin = require "tutorial_standin"
local t = require "moongate.test"
local task = require "moongate.task"
local time = require "moongate.time"

local FOLDER = "build/tmp/test_resume_failures"
assert(fs.mkdir(FOLDER))

local function write(name, value)
  local path = FOLDER .. "/" .. name
  assert(fs.write(path, json.encode(value)))
  return path
end

-- ---- the workflows ----

local function index(id)
  return write(id .. ".json", {
    indexId = id, dimensions = 8, similarityMetric = "cosine", embeddingFormat = "float32",
  })
end

local MODEL = "5a3e1a00-0000-4000-8000-000000000001"

local CASES = {
  { name = "deploy-index", values = function()
    return { config = { index "orders", index "items" }, vector_store = "vs", on_conflict = "fail", concurrency = 1 }
  end },
  { name = "promote-template", values = function()
    return { template = { write("template.json", {
      templateId = "greeting", version = "1.0.0", content = "Hello {{name}}", variables = { name = "string" },
    }) }, concurrency = 1 }
  end },
  { name = "configure-model", values = function()
    return { config = { write("configuration.json", {
      model_id = MODEL, max_tokens = 2048, temperature_matrix = { default = 0.5, creative = 1.2, precise = 0.1 },
      safety_filters = json.array { { filter_type = "pii", action = "redact", threshold = 70 } },
    }) }, on_conflict = "fail", concurrency = 1 }
  end },
  { name = "register-model", redo = "register summariser", values = function(url)
    return { model = { write("model.json", {
      name = "summariser", endpoint_url = url, auth_credential_id = "cred-1", model_architecture = "openai",
      max_requests_per_minute = 60, max_tokens_per_minute = 60000, parameters = { temperature = 0.2 },
    }) }, synthetic = true, samples = 1, job_deadline = 20, concurrency = 1, token_origin = {} }
  end },
}

-- ---- the gateways ----

local function plain(value) -- without what varies: times and ids
  if type(value) ~= "table" then return value end
  local out = {}
  for k, v in pairs(value) do
    if not (type(k) == "string" and (k:find "At$" or k == "id" or k == "syncEventId" or k == "endpointUrl"
      or k == "payloadHash" or k == "etag" or k == "ingestion" or k == "version" and type(v) == "number")) then
      out[k] = plain(v)
    end
  end
  return out
end

local function simulator()
  local server = session.start { job = 0.01 }
  return {
    url = server.url, stop = function() server:stop() end,
    client = function(options) return session.client(server, options) end,
    state = function()
      local state, models = server:state(), {}
      for _, model in pairs(state.models) do models[#models + 1] = json.encode(plain(model)) end
      table.sort(models)
      return plain { state.indexes, state.templates, state.model_configurations, models }
    end,
  }
end

local function tutorial(silent)
  local server = standin.start(silent)
  return {
    server = server, url = server.url, stop = server.stop, state = function() return standin.state(server) end,
    client = function(options)
      local all = { base_url = server.url }
      for k, v in pairs(options) do all[k] = v end
      return assert(http.client(all))
    end,
  }
end

-- ---- failures ----

local function status(n)
  return function(request)
    return nil, errors.new {
      code = "http", status = n, method = request.method, path = request.path, attempts = 1, message = "status " .. n,
      outcome = n >= 500 and request.method == "POST" and "unknown" or n >= 500 and "final" or "refused",
    }
  end
end

-- The answer is lost. effect: whether the request had one.
local function lost(effect)
  return function(request, client)
    if effect then client:request(request) end
    return nil, errors.new {
      code = request.method == "GET" and "network" or "unknown_outcome", method = request.method, path = request.path,
      attempts = 1, outcome = request.method == "GET" and "final" or "unknown", message = "the answer was lost",
    }
  end
end

local function late(request, client)
  client:request(request)
  return nil, errors.new {
    code = "timeout", method = request.method, path = request.path, attempts = 1, message = "past the deadline",
    outcome = request.method == "GET" and "final" or "unknown",
  }
end

local FAILURES = {
  { "500", status(500) }, { "503", status(503) }, { "400", status(400) }, { "cut before", lost(false) },
  { "cut after", lost(true) }, { "late", late },
}

-- ---- one life ----

-- A clock whose sleeps are short.
local function quick_clock()
  local slept = 0
  return {
    monotonic = function() return time.monotonic() + slept end,
    sleep = function(seconds)
      slept = slept + seconds
      task.sleep(math.min(seconds, 0.005))
    end,
    random = function() return 0.5 end,
  }
end

-- fail(request, client, n) -> response, err; or nothing: as it is. -> outcome, error, requests made, audit
local function live(db, case, where, fail, redo, cache)
  local n, audit, journal = 0, fake.audit(), nil
  local function client_of(options)
    local client = where.client(options)
    return { base_url = client.base_url, request = function(_, request)
      n = n + 1
      local response, err
      if fail then response, err = fail(request, client, n) end
      if response or err then return response, err end
      return client:request(request)
    end }
  end
  local outcome, err, j = fixture.live(db, bundled.load(case.name), {
    id = "r", values = case.values(where.url), journal = redo and { redo = { [redo] = true } } or nil,
    session = {
      report = function() end, note = function() end, audit = audit, stream = case.stream,
      gateway = function(options)
        return gateway.open {
          client = client_of(options), audit = audit, journal = journal, leases = false, clock = quick_clock(),
          cache = cache,
          on_conflict = "fail", log = setmetatable({}, { __index = function() return function() end end }),
        }
      end,
    },
  })
  return outcome, err, n, audit, j
end

local function first_error(outcome, err)
  for _, entry in ipairs(outcome and outcome.data.results or {}) do
    if entry.error then return entry.error end
  end
  return err
end

local NEVER = { bug = true, journal_mismatch = true, script = true }

-- What became of a life, judged.
local function judge(what, outcome, err, audit)
  local failure = first_error(outcome, err)
  t.ok(not failure or not NEVER[failure.code], ("%s: %s %s"):format(what, failure and failure.code,
    failure and failure.message))
  local open = 0
  for _, line in ipairs(audit.lines) do
    open = open + (line.phase == "intent" and 1 or line.phase == "outcome" and -1 or 0)
  end
  t.eq(open, 0, what .. ": intents without an outcome")
  return outcome and outcome.exit_status == 0, failure
end

local function point(case, start, whole, k, failure)
  local what = ("%s of request %d"):format(failure[1], k)
  local where, db = start(), fixture.store()
  local function strike(request, client, n)
    if n >= k and (n == k or failure.persists) then return failure[2](request, client) end
  end
  local outcome, err, _, audit = live(db, case, where, strike)
  local fine = judge(what, outcome, err, audit)
  if not fine then
    outcome, err, _, audit = live(db, case, where)
    local failed
    fine, failed = judge(what .. ", resumed", outcome, err, audit)
    if not fine and failed.outcome == "unknown" then
      t.ok(failed.hint and failed.hint:find("--redo", 1, true), what .. ": " .. tostring(failed.hint))
      outcome, err, _, audit = live(db, case, where, nil, case.redo)
      fine, failed = judge(what .. ", redone", outcome, err, audit)
    end
    t.ok(fine, ("%s: %s"):format(what, failed and failed.message or "no failure is named"))
  end
  t.eq(where.state(), whole, what .. ": what the gateway holds")
  db:close()
  where.stop()
end

local GATEWAYS = {
  { "the simulator", simulator }, { "a gateway of the tutorials", tutorial },
  { "a gateway that names no jobs", function() return tutorial(true) end, only = "register-model" },
}

for _, gateway_of in ipairs(GATEWAYS) do
  for _, case in ipairs(CASES) do
    if gateway_of.only and gateway_of.only ~= case.name then goto next end
    t.test(("%s against %s"):format(case.name, gateway_of[1]), function()
      local where, db = gateway_of[2](), fixture.store()
      local outcome, err, requests = live(db, case, where)
      t.eq({ err, outcome and outcome.exit_status }, { nil, 0 })
      local whole = where.state()
      db:close()
      where.stop()
      for k = 1, requests do
        for _, failure in ipairs(FAILURES) do
          point(case, gateway_of[2], whole, k, failure)
          if failure[1] ~= "cut after" then
            point(case, gateway_of[2], whole, k, { failure[1] .. " from then on", failure[2], persists = true })
          end
        end
      end
    end)
    ::next::
  end
end

-- ---- prompts ----
--
-- In each life each prompt has one result, whatever fails, or the run has not come to the prompts. Taken up again, a
-- prompt has its id again, and so no second effect on a model.

local function where_of(server)
  return { url = server.url, client = function(options) return session.client(server, options) end }
end

local PROMPTS = { "one", "two", "three" }

t.test("route-prompts against the simulator", function()
  local lines, list = {}, {}
  for i, id in ipairs(PROMPTS) do lines[i] = json.encode { id = id, prompt = "say " .. id } end
  local file = FOLDER .. "/prompts.jsonl"
  assert(fs.write(file, table.concat(lines, "\n") .. "\n"))
  local case = {
    name = "route-prompts",
    values = function()
      return { file = file, model = "sim-small", fallback = "sim-large", temperature = "default", max_tokens = 64,
        top_p = 0.95, concurrency = 1, ordered = true, queue_name = "prompts" }
    end,
    stream = function(text)
      for line in text:gmatch "[^\n]+" do list[#list + 1] = json.decode(line) end
      return true
    end,
  }
  local function results()
    local by_id, n = {}, #list
    for _, result in ipairs(list) do by_id[result.id] = result.status end
    list = {}
    return by_id, n
  end
  local function effects(server)
    local n = 0
    for _, counts in pairs(server:stats().prompts.models) do n = n + counts.hits end
    return n
  end
  local server, db = session.start {}, fixture.store()
  local outcome, err, requests = live(db, case, where_of(server))
  t.eq({ err, outcome and outcome.exit_status, select(2, results()), effects(server) }, { nil, 0, #PROMPTS, #PROMPTS })
  db:close()
  server:stop()
  for k = 1, requests do
    for _, failure in ipairs(FAILURES) do
      for _, persists in ipairs { false, true } do
        local what = ("%s of request %d%s"):format(failure[1], k, persists and " and from then on" or "")
        server, db = session.start {}, fixture.store()
        local audit
        outcome, err, _, audit = live(db, case, where_of(server), function(request, client, n)
          if n == k or persists and n > k then return failure[2](request, client) end
        end)
        judge(what, outcome, err, audit)
        local by_id, n = results()
        if outcome then
          t.eq(n, #PROMPTS, what .. ": results")
        else
          t.eq(n, 0, what .. ": results of what was not begun")
        end
        local again
        again, err, _, audit = live(db, case, where_of(server))
        judge(what .. ", resumed", again, err, audit)
        t.ok(again, ("%s, resumed: %s"):format(what, err and err.message))
        for id, said in pairs((results())) do by_id[id] = said end
        for _, id in ipairs(PROMPTS) do t.ok(by_id[id], what .. ": no result of " .. id) end
        for model, counts in pairs(server:stats().prompts.models) do
          t.ok(counts.hits <= #PROMPTS, ("%s: %s: %d effects"):format(what, model, counts.hits))
        end
        db:close()
        server:stop()
      end
    end
  end
end)

-- ---- what a registration finds wrong ----

for _, wrong in ipairs {
  { "a job that is not over at its deadline", "job_status", "RUNNING", 6 },
  { "a job that failed", "job_status", "FAILED", 1, twice = true }, -- it made nothing: it is registered anew
  { "a synthetic test that failed", "reply", "no", 8 },
  { "a health check that failed", "health", "UNHEALTHY", 8 },
} do
  t.test("register-model, resumed after " .. wrong[1], function()
    local case, where, db = CASES[4], tutorial(), fixture.store()
    local good = where.server[wrong[2]]
    for _, said in ipairs { wrong[3], wrong[3], good } do -- it is looked at anew each time
      where.server[wrong[2]] = said
      local outcome, err, _, audit = live(db, case, where)
      local fine = judge(wrong[1], outcome, err, audit)
      t.eq({ fine, outcome and outcome.exit_status }, { said == good, said == good and 0 or wrong[4] })
    end
    t.eq(#where.server.models, wrong.twice and 3 or 1)
    db:close()
    where.stop()
  end)
end

t.test("register-model again, where the listing tells names only: nothing is registered twice", function()
  local case, where, db = CASES[4], tutorial(), fixture.store()
  local cache = {}
  local store = { get = function(_, key) return cache[key] end, put = function(_, key, entry) cache[key] = entry end }
  local first = live(db, case, where, nil, nil, store)
  t.eq(first.exit_status, 0)
  db:close()
  db = fixture.store()
  local again = live(db, case, where, nil, nil, store)
  t.eq({ again.exit_status, again.data.results[1].status, #where.server.models }, { 0, "unchanged", 1 })
  db:close()
  db = fixture.store()
  local stranger = live(db, case, where)
  t.eq({ stranger.exit_status, #where.server.models }, { 5, 1 })
  db:close()
  where.stop()
end)
