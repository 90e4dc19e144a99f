-- route-prompts from end to end, against a simulated gateway.
local bundled = require "moongate.bundled"
local errors = require "moongate.error"
local exit_status = require "moongate.exit_status"
local fs = require "moongate.fs"
local json = require "moongate.json"
local session = require "sim_session"
local store = require "moongate.store"
local t = require "moongate.test"

local FOLDER = "build/tmp/test_route_prompts"
local BAD = "tests/lua/fixtures/bad_prompts"
local route_prompts = bundled.load "route-prompts"

local function file(text)
  assert(fs.mkdir(FOLDER))
  local path = FOLDER .. "/prompts.jsonl"
  assert(fs.write(path, text))
  return path
end

-- route(server, values, opts) -> {results, data, exit_status, audit, reported, notes, text}
local function route(server, values, opts)
  local all = {
    model = "sim-small", temperature = "default", max_tokens = 2048, top_p = 0.95, concurrency = 5, ordered = true,
  }
  for k, v in pairs(values) do all[k] = v end
  for k, v in pairs(all) do if v == "" then all[k] = nil end end
  local parts, notes = {}, {}
  local given = { values = all, stream = function(text) parts[#parts + 1] = text return true end,
    note = function(line) notes[#notes + 1] = line end }
  for k, v in pairs(opts or {}) do given[k] = v end
  local out, audit, reported = session.execute(server, route_prompts, given)
  local results = {}
  for line in table.concat(parts):gmatch "[^\n]+" do results[#results + 1] = assert(json.decode(line)) end
  return { results = results, data = out.data, exit_status = out.exit_status, audit = audit.lines, reported = reported,
    notes = notes, text = table.concat(parts), lines = out.lines }
end

local function test(name, sim_options, fn)
  t.test(name, function()
    local server <close> = session.start(sim_options)
    fn(server)
  end)
end

test("one prompt: its answer, and the counts", {}, function(server)
  local out = route(server, { prompt = "Hello" })
  t.eq(out.lines, { "sim-small heard 5 characters." })
  t.eq({ out.data.status, out.data.models[1].hits, out.exit_status }, { "ok", 1, 0 })
  local ok, err = pcall(route, server, { prompt = "[violate]" })
  t.ok(not ok)
  t.eq(exit_status.of(err), 3)
end)

test("many: a result a line, in order, blank lines passed over, bad ones told with their number", {}, function(server)
  local path = file '{"id":"a","prompt":"one"}\n\n"two"\nnot json\n  \n{"prompt":"[violate]"}\n{"prompt":"five"}'
  local out = route(server, { file = path })
  local seen = {}
  for i, r in ipairs(out.results) do seen[i] = { r.line, r.status } end
  t.eq(seen, { { 1, "ok" }, { 3, "ok" }, { 4, "invalid" }, { 6, "failed" }, { 7, "ok" } })
  t.eq(out.results[1].id, "a")
  t.eq(out.results[3].error.details[1].where, path .. ":4")
  t.eq(out.exit_status, 3)
  t.eq(#out.reported, 2)
  local sum = out.data.summary
  t.eq({ sum.ok, sum.failed, sum.invalid, sum.total }, { 3, 1, 1, 5 })
  t.eq(#out.audit, 5) -- that it starts, and a line a prompt that was sent
end)

test("as they come or in order, each line exactly once", { prompts = { ["*"] = { failure = 0.05, latency = 0.001 } } },
  function(server)
    local lines = {}
    for i = 1, 500 do lines[i] = json.encode { id = i, prompt = "Question " .. i } end
    local path = file(table.concat(lines, "\n"))
    for _, ordered in ipairs { true, false } do
      local out = route(server, { file = path, fallback = "sim-large,sim-strict", concurrency = 40, ordered = ordered })
      local seen, in_order = {}, true
      for i, r in ipairs(out.results) do
        t.ok(not seen[r.id])
        seen[r.id] = true
        in_order = in_order and r.id == i
      end
      t.eq(#out.results, 500)
      if ordered then t.ok(in_order) end
    end
  end)

test("--max-errors stops taking prompts", {}, function(server)
  local out = route(server, { file = file(("bad\n"):rep(50) .. '"x"\n'), max_errors = 3, concurrency = 1 })
  t.eq(#out.results, 4)
  t.eq(out.data.summary.stopped, "max_errors")
  t.eq(out.exit_status, 3)
end)

test("each bad file: all its faults in one result, exit 3, and the gateway is asked for no prompt", {}, function(server)
  local names = assert(fs.list(BAD))
  for _, name in ipairs(names) do
    local out = route(server, { file = BAD .. "/" .. name })
    t.eq({ #out.results, out.results[1].status, out.exit_status }, { 1, "invalid", 3 }, name)
    t.ok(#out.results[1].error.details >= (name == "many_faults.jsonl" and 5 or 1), name)
  end
  t.ok(#names >= 20)
  t.eq(session.count(server, "POST"), 0)
end)

test("a file that is not JSON lines is refused before any of its lines is sent", {}, function(server)
  for text, word in pairs {
    ['[\n"a",\n"b"\n]\n'] = "is a JSON array", ['["a"]\n'] = "is a JSON array", ['\n [\n"b"]\n'] = "is a JSON array",
    ['{\n"prompt": "a"\n}\n'] = "over several lines", ['{"prompts": [\n"a",\n"b"\n]}\n'] = "over several lines",
    ["\xff\xfe{\0}\0"] = "UTF-16", ["{\0}\0"] = "UTF-16",
  } do
    local ok, err = pcall(route, server, { file = file(text) })
    t.ok(not ok and err.code == "invalid" and err.message:find(word, 1, true), tostring(err))
  end
  t.eq(session.count(server, "POST"), 0)
  route(server, { prompt = "x" }) -- what the others have begun in the background has ended then
end)

test("an id of 64 bits and more is repeated digit for digit", {}, function(server)
  local out = route(server, { file = file('{"id":9007199254740993,"prompt":"a"}\n'
    .. '{"id":-9223372036854775808,"prompt":"b"}\n'
    .. '{"id":18446744073709551615,"prompt":"c"}\n{"id":9007199254740993,"prompt":""}\n') })
  t.eq(out.exit_status, 3)
  for i, digits in ipairs {
    "9007199254740993", "-9223372036854775808", '"18446744073709551615"', "9007199254740993",
  } do
    t.ok(out.text:find('"id":' .. digits .. ",", 1, true), digits .. " in " .. out.text)
    t.eq(out.results[i].status, i < 4 and "ok" or "invalid")
  end
end)

test("bad flags: exit 2 or 3, and nothing is sent", {}, function(server)
  local path = file '"x"\n'
  for _, case in ipairs {
    { 2, {} }, { 2, { file = path, prompt = "x" } }, { 2, { file = path, fallback = "a,,b" } },
    { 2, { file = path, temperatures = "low" } }, { 2, { file = path, temperatures = "low=x" } },
    { 3, { file = path, temperatures = "warm=1" } }, { 3, { file = path, temperature = "hot" } },
    { 3, { file = path, temperature = "2.1" } }, { 3, { file = path, safety = "pii,piii" } },
    { 3, { file = path, fallback = "sim-small" } }, { 3, { file = path, fallback = "a,a" } },
    { 3, { file = path, fallback = "none" } }, { 3, { file = path, model = "none" } },
    { 3, { file = FOLDER } }, { 3, { file = FOLDER .. "/none" } },
    { 3, { prompt = "" , model = "sim-small" } },
  } do
    local ok, err = pcall(route, server, case[2])
    if case[2].prompt ~= "" then
      t.ok(not ok and errors.is(err), tostring(err))
      t.eq(exit_status.of(err), case[1], tostring(err))
    end
  end
  t.eq(session.count(server, "POST"), 0)
end)

test("--dry-run shows what would go where", {}, function(server)
  local out = route(server, { file = file '"x"\n{"prompt":"y","model":"sim-large","temperature":"low"}\n' },
    { dry_run = true })
  t.eq({ out.results[1].status, out.results[2].temperature, out.exit_status }, { "planned", 0.2, 0 })
  t.eq(session.count(server, "POST"), 0)
end)

test("an empty file is no failure; the document still has its list", {}, function(server)
  local out = route(server, { file = file "" })
  t.eq({ out.exit_status, out.data.results, out.data.summary.total }, { 0, json.array {}, 0 })
end)

test("the webhook hears the sum of it, from genesys-router", {}, function(server)
  local data = route(server, { file = file '"x"\n"y"\n' }, {
    project = { webhooks = { ops = { url = server.url .. "/__sim/webhooks/ops", secret = server.webhook_secret } } },
  }).data
  t.eq(data.webhooks[1].name, "ops")
end)

test("a webhook that wants each prompt gets them flat, with what the audit log has, and no sum", {}, function(server)
  local told = {}
  local receiver <close> = assert(require("moongate.httpd").serve { handler = function(req)
    t.eq(req.headers["x-audit-source"], "genesys-router")
    told[req.target] = told[req.target] or {}
    table.insert(told[req.target], req:json())
    return { status = 204 }
  end })
  route(server, { file = file '"x"\n"[violate]"\n', ordered = true }, { project = { webhooks = {
    each = { url = receiver.url .. "/each", format = "flat", per_prompt = true },
    sum = { url = receiver.url .. "/sum" },
  } } })
  t.eq({ #told["/each"], #told["/sum"], told["/sum"][1].data.summary.total }, { 2, 1, 2 })
  local by_status = {}
  for _, entry in ipairs(told["/each"]) do by_status[entry.status] = entry end
  local good = by_status[200]
  t.eq({ good.event_type, good.outcome, good.hitRate }, { "prompt_routing", "ok", good.hitRate })
  t.ok(good.requestId and good.modelId and good.latencyMs and good.timestamp and by_status[422])
end)

test("a prompt that names its own model has the other models for fallbacks", {}, function(server)
  local out = route(server, {
    file = file '{"prompt":"x","model":"sim-large"}\n{"prompt":"y","model":"sim-large","fallback":["sim-large"]}\n',
    fallback = "sim-large,sim-strict",
  })
  t.eq({ out.results[1].status, out.results[2].status }, { "ok", "invalid" })
end)

-- ---- a run that is taken up again ----

local function journal_of(db, id)
  return require("moongate.journal").open(db, id, {})
end

local function many()
  local lines = {}
  for i = 1, 2000 do lines[i] = json.encode { id = i, prompt = i == 3 and "[violate]" or "Question " .. i } end
  return file(table.concat(lines, "\n"))
end

test("a run's request ids are the same in each of its lives, and nobody else's", {}, function(server)
  local db <close> = assert(store.open "sqlite::memory:")
  local path = file '{"prompt":"one"}\n"two"\n'
  local ids = {}
  for i, id in ipairs { "a", "a", "b" } do
    local out = route(server, { file = path }, { journal = journal_of(db, id) })
    ids[i] = out.results[1].request_id .. out.results[2].request_id
  end
  t.eq(ids[1], ids[2])
  t.ok(ids[1] ~= ids[3] and ids[1]:sub(1, 36) ~= ids[1]:sub(37))
  local c = server:stats().prompts.models["5a3e1a00-0000-4000-8000-000000000001"]
  t.eq({ c.hits, c.duplicates }, { 4, 2 })
end)

test("taken up again, it goes on behind the results that are out", {}, function(server)
  local db <close> = assert(store.open "sqlite::memory:")
  local path, count, pieces = many(), 0, 0
  local function stream(text)
    pieces = pieces + 1
    if pieces == 3 then return nil, errors.new { code = "io", message = "no room" } end
    for line in text:gmatch "[^\n]+" do
      count = count + 1
      t.eq(json.decode(line).line, count)
    end
    return true
  end
  local opts = { journal = journal_of(db, "r"), stream = stream }
  local ok, err = pcall(route, server, { file = path }, opts)
  t.ok(not ok and err.code == "io", tostring(err))
  require("moongate.closing").run()
  local before, sent = count, session.count(server, "POST")
  t.ok(before > 100 and before < 1000, before)
  local out = route(server, { file = path }, opts)
  t.eq(count, 2000)
  t.eq({ out.data.summary.before, out.data.summary.total, session.count(server, "POST") - sent },
    { before, 2000 - before, 2000 - before })
  t.eq(out.exit_status, 3, "the failure of the first life counts")
  t.eq(assert(db:exec "SELECT count(*) AS n FROM cells")[1].n, 0)
end)

test("with another file it is not taken up", {}, function(server)
  local db <close> = assert(store.open "sqlite::memory:")
  local path = many()
  assert(db:exec([[INSERT INTO cells (kind, key, value_json) VALUES ('route-prompts', 'r',
    '{"out":7,"failures":0,"input":{"size":1,"mtime":1}}')]]))
  local ok, err = pcall(route, server, { file = path }, { journal = journal_of(db, "r") })
  t.ok(not ok and err.code == "conflict", tostring(err))
  t.eq(session.count(server, "POST"), 0)
end)

t.test("tidy up", function() fs.remove(FOLDER .. "/prompts.jsonl") end)
