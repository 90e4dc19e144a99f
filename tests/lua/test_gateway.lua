-- The gateway module against a client that lives in a table: what is sent, what is audited, what a failure becomes.
local errors = require "moongate.error"
local fake = require "fake_gateway"
local gateway = require "moongate.gateway"
local json = require "moongate.json"
local t = require "moongate.test"

local PLACE = { vectorStoreId = "vs", indexId = "orders" }
local PATH = "/api/v2/ai/vectorstores/vs/indexes/orders"

local function config(changes)
  local c = { indexId = "orders", dimensions = 768, similarityMetric = "cosine", embeddingFormat = "float32" }
  for k, v in pairs(changes or {}) do c[k] = v end
  return c
end

-- A gateway that holds the index `orders`.
local function holding(opts, client_opts)
  local client = fake.client(client_opts)
  client.wrap = true
  client:hold(PATH, config())
  local gw, audit, clock = fake.open(client, opts)
  return gw, client, audit, clock
end

local function fails(code, fn)
  local ok, err = pcall(fn)
  t.ok(not ok, "did not fail")
  t.ok(errors.is(err), "no error object: " .. tostring(err))
  t.eq(err.code, code, tostring(err))
  return err
end

-- ---- opening, kinds ----

t.test("unknown options, kinds and fields are refused", function()
  t.raises(function() gateway.open { client = {}, dialct = "x" } end, "unknown option 'dialct'")
  t.raises(function() gateway.open { client = {}, on_conflict = "win" } end, "on_conflict 'win'")
  local client = fake.client()
  fails("invalid", function() fake.open(client, { dialect = "nowhere" }) end)
  fails("invalid", function() fake.open(client, { kinds = { index = { pth = "/x" } } }) end)
  fails("invalid", function() fake.open(client, { kinds = { index = { path = "x" } } }) end)
  fails("invalid", function() fake.open(client, { kinds = { index = { lock = "luck" } } }) end)
  fails("invalid", function() fake.open(client, { kinds = { mine = { title = "no path" } } }) end)
  local gw = fake.open(client)
  fails("invalid", function() gw:get("indx", PLACE) end)
  t.raises(function() gw:get("index", PLACE, { frsh = true }) end, "unknown option 'frsh'")
  t.raises(function() gw:write("index", PLACE, { contnt = {} }) end, "unknown option 'contnt'")
end)

t.test("a project overrides a path and adds a kind", function()
  local client = fake.client()
  local gw = fake.open(client, { kinds = {
    index = { path = "/custom/{indexId}" }, note = { path = "/notes/{id}", lock = "none" },
  } })
  gw:get("index", PLACE)
  t.eq(client.requests[1].path, "/custom/{indexId}")
  client:hold("/notes/7", { text = "hi" })
  t.eq(gw:get("note", { id = 7 }).content, { text = "hi" })
end)

t.test("a path needs its parameters, and no dots", function()
  local gw = fake.open(fake.client())
  local err = fails("invalid", function() gw:get("index", { vectorStoreId = "vs" }) end)
  t.ok(err.message:find("indexId is not given", 1, true), err.message)
  fails("invalid", function() gw:get("index", { vectorStoreId = "..", indexId = "x" }) end)
end)

-- ---- reading ----

t.test("get gives content, etag and status; nil when there is none", function()
  local gw = holding()
  local live = gw:get("index", PLACE)
  t.eq(live.content, config())
  t.eq(live.etag, '"1"')
  t.eq(live.status, "ready")
  t.eq(live.stale, false)
  t.ok(gw:get("index", { vectorStoreId = "vs", indexId = "none" }) == nil)
end)

t.test("an answer without the content's member is taken as flat", function()
  local client = fake.client()
  client:hold(PATH, { indexId = "orders", dimensions = 8, status = "ready", updatedAt = "x" })
  local gw = fake.open(client)
  t.eq(gw:get("index", PLACE).content, { indexId = "orders", dimensions = 8 })
end)

t.test("a 403 names the scope", function()
  local gw = holding(nil, { before = function(r) return fake.answer(r, 403, { code = "forbidden" }) end })
  t.ok(fails("http", function() gw:get("index", PLACE) end).hint:find("ai:vectorstore:read", 1, true))
end)

local function open_breaker(request)
  return nil, errors.new {
    code = "breaker_open", message = "circuit open", method = request.method, outcome = "not_sent",
  }
end

t.test("while the breaker is open a read answers from the cache, marked stale; a write never rests on it", function()
  local gw, client = holding()
  gw:get("index", PLACE)
  client.before = open_breaker
  local stale = gw:get("index", PLACE)
  t.eq(stale.stale, true)
  t.eq(stale.content, config())
  fails("breaker_open", function() gw:get("index", PLACE, { fresh = true }) end)
  fails("breaker_open", function() gw:get("index", { vectorStoreId = "vs", indexId = "unseen" }) end)
  client.before = nil
  local err = fails("breaker_open", function()
    gw:write("index", PLACE, { base = stale, content = config { dimensions = 1 } })
  end)
  t.eq(err.outcome, "not_sent")
  t.eq(client.writes, 0)
end)

t.test("list follows nextUri, else page numbers, and never leaves the gateway", function()
  local pages = {
    { entities = json.array { 1 }, nextUri = "/x/indexes?pageNumber=2" },
    { entities = json.array { 2 }, nextUri = "https://gw.test/x/indexes?pageNumber=3" },
    { entities = json.array { 3 } },
  }
  local client = fake.client { before = function(r, n) return fake.answer(r, 200, pages[n]) end }
  local gw, seen = fake.open(client), {}
  for page in gw:list("index", PLACE, { page_size = 1 }) do seen[#seen + 1] = page.entities[1] end
  t.eq(seen, { 1, 2, 3 })
  t.eq(client.requests[1].query, { pageSize = 1 })
  t.eq(client.requests[3].path, "/x/indexes?pageNumber=3")

  client = fake.client { before = function(r, n)
    return fake.answer(r, 200, { entities = json.array { n }, pageNumber = n, pageSize = 1, total = 3 })
  end }
  gw, seen = fake.open(client), {}
  for page in gw:pages("/y") do seen[#seen + 1] = page.entities[1] end
  t.eq(seen, { 1, 2, 3 })
  t.eq(client.requests[3].query, { pageNumber = 3 })

  for _, uri in ipairs { "https://evil.test/x", "//evil.test/x", "https://gw.test.evil/x" } do
    gw = fake.open(fake.client { before = function(r)
      return fake.answer(r, 200, { entities = json.array {}, nextUri = uri })
    end })
    fails("protocol", function() gw:pages("/y")() end)
  end
  gw = fake.open(fake.client { before = function(r)
    return fake.answer(r, 200, { entities = json.array {}, nextUri = "/y?again" })
  end })
  fails("protocol", function()
    local next_page = gw:pages("/y")
    repeat until next_page() == nil
  end)
end)

t.test("an answer that is not JSON says what it is", function()
  local function read(headers, body)
    local gw = fake.open(fake.client { before = function(r)
      local a = fake.answer(r, 200, {})
      a.headers, a.body = headers, body
      a.json = function() return nil, { message = "the answer is not JSON: line 1" } end
      return a
    end })
    return fails("protocol", function() gw:pages("/y")() end)
  end
  local err = read({ ["content-type"] = "text/html" }, "\r\n<html><head><title>Sign in, please</title></head></html>")
  t.eq(err.message, "the answer is not JSON but HTML: Sign in, please")
  t.ok(err.hint:find("the region", 1, true))
  t.eq(read({ ["content-encoding"] = "zstd" }, "(").message, "the answer is encoded as zstd, which was not asked for")
  t.eq(read({ ["content-encoding"] = "GZIP " }, "{").message, "the answer is not JSON: line 1")
  t.eq(read(nil, "{").message, "the answer is not JSON: line 1")
end)

t.test("poll looks at once, then ever later; 429 waits; an unknown state is still running", function()
  local states = { "QUEUED", "SIMMERING", 429, "COMPLETED" }
  local client = fake.client { before = function(r, n)
    if states[n] == 429 then return fake.answer(r, 429, { code = "x" }, nil, { retry_after = 2 }) end
    return fake.answer(r, 200, { id = "j", status = states[n] })
  end }
  local gw, _, clock = fake.open(client)
  local job = gw:poll("/jobs/j", { done = { "COMPLETED" }, failed = { "FAILED" }, running = { "QUEUED" } })
  t.eq(job.status, "COMPLETED")
  t.eq(clock.slept, { 0.25, 0.5, 2 })
end)

t.test("a poll that meets 5xx looks again until its deadline, and then says what it met", function()
  local client = fake.client { before = function(r, n)
    if n < 3 then return fake.answer(r, 500, { message = "oops" }) end
    return fake.answer(r, 200, { status = "X" })
  end }
  t.eq(fake.open(client):poll("/j", { done = { "X" } }).status, "X")
  local gw = fake.open(fake.client { before = function(r) return fake.answer(r, 500, { message = "oops" }) end })
  t.ok(fails("timeout", function() gw:poll("/j", { done = { "X" }, deadline = 10 }) end).message:find "oops")
end)

t.test("poll ends with failed, or with its deadline", function()
  local gw = fake.open(fake.client { before = function(r)
    return fake.answer(r, 200, { status = "FAILED", errors = json.array { { message = "no" } } })
  end })
  t.eq(#fails("failed", function() gw:poll("/j", { done = { "X" }, failed = { "FAILED" } }) end).details, 1)
  local _, clock
  gw, _, clock = fake.open(fake.client { before = function(r) return fake.answer(r, 200, { status = "RUNNING" }) end })
  fails("timeout", function() gw:poll("/j", { done = { "X" }, deadline = 10 }) end)
  t.ok(clock.now <= 10)
end)

-- ---- writing ----

t.test("a create sends If-None-Match, an update If-Match, and both are audited before and after", function()
  local client = fake.client { wrap = true }
  local gw, audit = fake.open(client)
  local made = gw:write("index", PLACE, {
    content = config(), action = "index_update", details = { indexId = "orders" },
  })
  t.eq(made.status, "created")
  t.eq(client.requests[1].headers, { ["If-None-Match"] = "*" })
  local live = gw:get("index", PLACE)
  local changed = gw:write("index", PLACE, { base = live, content = config { dimensions = 1536 } })
  t.eq(changed.status, "updated")
  t.eq(changed.etag, '"2"')
  t.eq(client.requests[3].headers, { ["If-Match"] = '"1"' })
  t.eq(#audit.lines, 4)
  t.eq(audit.lines[1].phase, "intent")
  t.eq(audit.lines[1].indexId, "orders")
  t.eq(audit.lines[1].payload_hash, made.payload_hash)
  t.eq(audit.lines[2].status, "created")
  t.eq(audit.lines[3].if_match, '"1"')
  t.eq(#changed.changes, 1)
end)

t.test("nothing is sent when nothing differs, nor in a dry run, nor audited", function()
  local gw, client, audit = holding()
  local live = gw:get("index", PLACE)
  t.eq(gw:write("index", PLACE, { base = live, content = config() }).status, "unchanged")
  t.eq(gw:write("index", PLACE, { base = live, content = config { autoIngestTrigger = false } }).status, "unchanged",
    "a member at its default")
  local planned = gw:write("index", PLACE, { base = live, content = config { dimensions = 4 }, dry_run = true })
  t.eq(planned.status, "planned")
  t.eq(planned.changes[1].pointer, "/dimensions")
  t.eq(client:count("PUT"), 0)
  t.eq(#audit.lines, 0)
end)

t.test("content changed in place is compared with what was read", function()
  local gw, client = holding()
  local live = gw:get("index", PLACE)
  live.content.dimensions = 1024
  t.eq(gw:write("index", PLACE, { base = live }).status, "updated")
  t.eq(client.requests[2].json.dimensions, 1024)
end)

t.test("content against the schema is never sent, and every fault is told", function()
  local gw, client = holding()
  local err = fails("invalid", function()
    gw:write("index", PLACE, { content = { indexId = "orders", dimensions = 0, similarityMetric = "x" } })
  end)
  t.eq(#err.details, 3, tostring(err))
  t.eq(client:count("PUT"), 0)
end)

t.test("tutorial fault 12: a write that can't be audited is not sent", function()
  local gw, client = holding { audit = fake.audit { refuse_intent = true } }
  local function write()
    gw:write("index", PLACE, { base = gw:get("index", PLACE), content = config { dimensions = 2 } })
  end
  local err = fails("io", write)
  t.eq(err.outcome, "not_sent")
  t.eq(client:count("PUT"), 0)
  gw = holding { audit = fake.audit { refuse_outcome = true } }
  err = fails("io", write)
  t.ok(err.message:find("took effect", 1, true), err.message)
end)

t.test("tutorial fault 8: a failed write has its latency and code in the audit log", function()
  local gw, client, audit, clock = holding()
  local live = gw:get("index", PLACE)
  client.before = function(r)
    clock.now = clock.now + 0.25
    return fake.answer(r, 422, { code = "validation.failed", message = "no" })
  end
  fails("http", function() gw:write("index", PLACE, { base = live, content = config { dimensions = 9 } }) end)
  local line = audit.lines[2]
  t.eq(line.phase, "outcome")
  t.eq(line.status, "failed")
  t.eq(line.latency_ms, 250)
  t.eq(line.http_status, 422)
  t.eq(line.error_code, "http")
  t.eq(line.correlationId, "corr-422")
end)

t.test("tutorial fault 7: the payload hash is SHA-256 of what is sent", function()
  local gw, client = holding()
  local result = gw:write("index", PLACE, { base = gw:get("index", PLACE), content = config { dimensions = 5 } })
  t.eq(result.payload_hash, require("moongate.hash").payload(client.requests[2].json))
end)

-- ---- lost answers ----

t.test("a lost answer is looked up: applied is reconciled, one effect", function()
  local gw, client, audit = holding()
  local live = gw:get("index", PLACE)
  client.before = function(r) if r.method == "PUT" then return fake.lost(client, r, true) end end
  local result = gw:write("index", PLACE, { base = live, content = config { dimensions = 10 } })
  t.eq(result.status, "reconciled")
  t.eq(result.etag, '"2"')
  t.eq(client.writes, 1)
  t.eq(audit.lines[2].status, "reconciled")
end)

t.test("a 412 after our own first try is reconciled", function()
  local gw, client = holding()
  local live = gw:get("index", PLACE)
  client.before = function(r)
    if r.method ~= "PUT" then return end
    client:serve(r)
    return fake.answer(r, 412, { code = "etag.mismatch" }, nil, { attempts = 2, after_ambiguous = true })
  end
  t.eq(gw:write("index", PLACE, { base = live, content = config { dimensions = 10 } }).status, "reconciled")
  t.eq(client.writes, 1)
end)

t.test("a lost answer that was not applied stays unknown, and says so", function()
  local gw, client, audit = holding()
  local live = gw:get("index", PLACE)
  client.before = function(r) if r.method == "PUT" then return fake.lost(client, r, false) end end
  local err = fails("unknown_outcome", function()
    gw:write("index", PLACE, { base = live, content = config { dimensions = 10 } })
  end)
  t.ok(err.message:find("has not taken effect so far", 1, true), err.message)
  t.eq(audit.lines[2].status, "unknown")
end)

t.test("a lost answer that can't be looked up stays unknown", function()
  local gw, client = holding()
  local live = gw:get("index", PLACE)
  client.before = function(r)
    if r.method == "PUT" then return fake.lost(client, r, true) end
    return open_breaker(r)
  end
  t.ok(fails("unknown_outcome", function()
    gw:write("index", PLACE, { base = live, content = config { dimensions = 10 } })
  end).hint:find("could not be read back", 1, true))
end)

t.test("a 412 that may be our own, and can't be looked up, is unknown and no conflict", function()
  local gw, client, audit = holding()
  local live = gw:get("index", PLACE)
  client.before = function(r)
    if r.method ~= "PUT" then return open_breaker(r) end
    return fake.answer(r, 412, { code = "etag.mismatch" }, nil, { attempts = 2, after_ambiguous = true })
  end
  fails("unknown_outcome", function()
    gw:write("index", PLACE, { base = live, content = config { dimensions = 10 } })
  end)
  t.eq(audit.lines[2].status, "unknown")
end)

t.test("a POST with a lost answer is neither repeated nor looked up", function()
  local client = fake.client()
  client.before = function(r) return fake.lost(client, r, false) end
  local gw = fake.open(client)
  t.eq(fails("unknown_outcome", function() gw:post_path("/things", { a = 1 }) end).outcome, "unknown")
  t.eq(#client.requests, 1)
end)

-- ---- a POST that creates what is read at a path of its own ----

local VERSIONS = { v = {
  path = "/things/{t}/versions", item = "/things/{t}/versions/{v}", create = "POST", lock = "none",
} }
local ONE, AT = { t = "a", v = "1.0" }, "/things/a/versions/1.0"

-- The client keeps what is posted at the item's path.
local function versioned(before)
  local client = fake.client()
  function client.before(r, n)
    local response, err
    if before then response, err = before(r, n, client) end
    if response or err then return response, err end
    if r.method ~= "POST" then return nil end
    if client.held[AT] then return fake.answer(r, 409, { code = "exists" }) end
    client:hold(AT, r.json)
    return fake.answer(r, 201, { id = "x" })
  end
  return client, fake.open(client, { kinds = VERSIONS })
end

t.test("a created item is posted to the collection and read at its own path", function()
  local client, gw = versioned()
  t.eq(gw:get("v", ONE), nil)
  t.eq(gw:write("v", ONE, { content = { a = 1 } }).status, "created")
  t.eq(client.requests[2].path, "/things/{t}/versions")
  t.eq(gw:get("v", ONE).content, { a = 1 })
end)

t.test("a created item whose answer was lost is looked up", function()
  local client, gw = versioned(function(r, _, c)
    if r.method ~= "POST" then return nil end
    c:hold(AT, r.json)
    return fake.lost(c, r, false)
  end)
  t.eq(gw:write("v", ONE, { content = { a = 1 } }).status, "reconciled")
  t.eq(client:count "POST", 1)
  t.eq(client:count "GET", 1)
end)

t.test("a created item whose answer was lost, and which is not there, stays unknown", function()
  local client, gw = versioned(function(r, _, c)
    if r.method == "POST" then return fake.lost(c, r, false) end
  end)
  t.ok(fails("unknown_outcome", function() gw:write("v", ONE, { content = { a = 1 } }) end).message:find("read back"))
  t.eq(client:count "POST", 1)
end)

t.test("a 409 to a POST is somebody else's, unless an earlier try of ours may have arrived", function()
  local ours
  local client, gw = versioned(function(r)
    if r.method == "POST" then return fake.answer(r, 409, { code = "exists" }, nil, { after_ambiguous = ours }) end
  end)
  client:hold(AT, { a = 1 })
  fails("conflict", function() gw:write("v", ONE, { content = { a = 1 } }) end)
  t.eq(client:count "GET", 0)
  ours = true
  t.eq(gw:write("v", ONE, { content = { a = 1 } }).status, "reconciled")
  fails("conflict", function() gw:write("v", ONE, { content = { a = 2 } }) end)
end)

-- ---- somebody else wrote ----

local function raced(opts, theirs)
  local gw, client, audit, clock = holding(opts)
  local live = gw:get("index", PLACE)
  client:hold(PATH, config(theirs))
  return gw, client, live, audit, clock
end

t.test("on-conflict=fail shows base, theirs and ours, and sends nothing more", function()
  local gw, client, live, audit = raced(nil, { dimensions = 1024 })
  local err = fails("conflict", function()
    gw:write("index", PLACE, { base = live, content = config { dimensions = 1536 } })
  end)
  t.eq(err.status, 412)
  t.eq(err.details[1].pointer, "/dimensions")
  t.eq(err.details[1].theirs, 1024)
  t.ok(table.concat(err.lines, "\n"):find("dimensions%s+768%s+1024%s+1536"))
  t.eq(client:count("PUT"), 1)
  t.eq(client.writes, 0)
  t.eq(audit.lines[2].status, "conflict")
end)

t.test("on-conflict=rebase keeps both where they don't overlap", function()
  local gw, client, live, audit = raced({ on_conflict = "rebase" }, { embeddingFormat = "int8" })
  local result = gw:write("index", PLACE, { base = live, content = config { dimensions = 1536 } })
  t.eq(result.status, "updated")
  t.eq(result.rebased, true)
  t.eq(result.content, config { dimensions = 1536, embeddingFormat = "int8" })
  t.eq(gw:get("index", PLACE).content, config { dimensions = 1536, embeddingFormat = "int8" })
  t.eq(client.writes, 1)
  t.eq(#audit.lines, 4)
end)

t.test("on-conflict=rebase fails where they overlap", function()
  local gw, client, live = raced({ on_conflict = "rebase" }, { dimensions = 1024 })
  local err = fails("conflict", function()
    gw:write("index", PLACE, { base = live, content = config { dimensions = 1536 } })
  end)
  t.ok(err.message:find("both changed dimensions", 1, true), err.message)
  t.eq(client.writes, 0)
end)

t.test("on-conflict=overwrite writes ours with their ETag", function()
  local gw, client, live = raced({ on_conflict = "overwrite" }, { dimensions = 1024 })
  local result = gw:write("index", PLACE, { base = live, content = config { dimensions = 1536 } })
  t.eq(result.status, "updated")
  t.eq(result.overwrote, '"2"')
  t.eq(gw:get("index", PLACE).content.dimensions, 1536)
  t.eq(client.writes, 1)
end)

t.test("somebody wrote just what we wanted: unchanged", function()
  local gw, client, live = raced(nil, { dimensions = 1536 })
  t.eq(gw:write("index", PLACE, { base = live, content = config { dimensions = 1536 } }).status, "unchanged")
  t.eq(client.writes, 0)
end)

t.test("a create that meets an index is a conflict; overwrite takes it", function()
  local gw, client = holding()
  fails("conflict", function() gw:write("index", PLACE, { content = config { dimensions = 3 } }) end)
  t.eq(gw:write("index", PLACE, { content = config { dimensions = 3 }, on_conflict = "overwrite" }).status, "updated")
  t.eq(client.writes, 1)
end)

t.test("removed meanwhile: a conflict; overwrite creates it again", function()
  local gw, client = holding()
  local live = gw:get("index", PLACE)
  client.held[PATH] = nil
  t.ok(fails("conflict", function()
    gw:write("index", PLACE, { base = live, content = config { dimensions = 3 } })
  end).message:find("removed", 1, true))
  fails("conflict", function()
    gw:write("index", PLACE, { base = live, content = config { dimensions = 3 }, on_conflict = "rebase" })
  end)
  t.eq(gw:write("index", PLACE, { base = live, content = config { dimensions = 3 }, on_conflict = "overwrite" }).status,
    "created")
end)

t.test("writers that never stop: given up after some rounds", function()
  local gw, client = holding { on_conflict = "overwrite" }
  local live = gw:get("index", PLACE)
  local n = 0
  client.before = function(r)
    if r.method == "PUT" then
      n = n + 1
      client:hold(PATH, config { dimensions = 100 + n })
    end
  end
  fails("conflict", function() gw:write("index", PLACE, { base = live, content = config { dimensions = 3 } }) end)
  t.eq(n, 5)
end)

-- ---- busy ----

t.test("tutorial fault 2: a busy index is waited for, and every write's back-off begins anew", function()
  local gw, client, _, clock = holding()
  local function write(dimensions)
    local live, n = gw:get("index", PLACE), 0
    client.before = function(r)
      if r.method ~= "PUT" then return end
      n = n + 1
      if n <= 3 then return fake.answer(r, 409, { code = "index.busy", message = "busy" }) end
    end
    clock.slept = {}
    t.eq(gw:write("index", PLACE, { base = live, content = config { dimensions = dimensions } }).status, "updated")
    return clock.slept
  end
  t.eq(write(1), { 0.5, 1, 2 })
  t.eq(write(2), { 0.5, 1, 2 })
end)

t.test("a 409 without a code is busy while the ETag is ours, and a conflict when it is not", function()
  local gw, client, _, clock = holding()
  local live, n = gw:get("index", PLACE), 0
  client.before = function(r)
    if r.method ~= "PUT" then return end
    n = n + 1
    if n == 1 then return fake.answer(r, 409, { code = "conflict" }) end
  end
  t.eq(gw:write("index", PLACE, { base = live, content = config { dimensions = 4 } }).status, "updated")
  t.eq(#clock.slept, 1)

  local gw2, client2, live2 = raced(nil, { dimensions = 1024 })
  client2.before = function(r) if r.method == "PUT" then return fake.answer(r, 409, { code = "conflict" }) end end
  fails("conflict", function() gw2:write("index", PLACE, { base = live2, content = config { dimensions = 4 } }) end)
end)

t.test("busy until the deadline is a conflict in the end, never past it", function()
  local gw, client, _, clock = holding { deadline = 5 }
  local live = gw:get("index", PLACE)
  client.before = function(r)
    if r.method ~= "PUT" then return end
    return fake.answer(r, 409, { code = "index.busy", message = "rebuilding until noon" })
  end
  local err = fails("conflict", function()
    gw:write("index", PLACE, { base = live, content = config { dimensions = 4 } })
  end)
  t.ok(err.message:find("busy", 1, true))
  t.ok(err.message:find("rebuilding until noon", 1, true), "the server's reason is kept")
  t.ok(clock.now < 5)
end)

-- ---- without ETags, and generic verbs ----

t.test("a kind without a lock is read again before it is written", function()
  local client = fake.client()
  client:hold("/notes/7", { text = "hi" })
  local gw = fake.open(client, { kinds = { note = { path = "/notes/{id}", lock = "none" } } })
  local live = gw:get("note", { id = "7" })
  t.eq(gw:write("note", { id = "7" }, { base = live, content = { text = "ho" } }).status, "updated")
  t.eq(client.requests[3].headers, {})
  client:hold("/notes/7", { text = "theirs" })
  fails("conflict", function() gw:write("note", { id = "7" }, { base = live, content = { text = "ours" } }) end)
  fails("conflict", function() gw:write("note", { id = "7" }, { content = { text = "new" } }) end)
  t.eq(gw:write("note", { id = "7" }, { base = live, content = { text = "theirs" } }).status, "unchanged")
  t.eq(client.writes, 1)
  t.eq(gw:write("note", { id = "8" }, { content = { text = "new" } }).status, "created")
end)

t.test("the generic verbs go the same way", function()
  local client = fake.client()
  client:hold("/api/v2/things/1", { a = 1 })
  local gw, audit = fake.open(client)
  local thing = gw:get_path("/api/v2/things/{id}", { params = { id = 1 } })
  thing.content.a = 2
  local result = gw:put_path("/api/v2/things/{id}", thing.content, { base = thing, params = { id = 1 } })
  t.eq(result.status, "updated")
  t.eq(client.requests[2].headers, { ["If-Match"] = '"1"' })
  t.eq(#audit.lines, 2)
  gw:put_path("/api/v2/things/1", { a = 3 })
  t.eq(client.requests[3].headers, {})
  t.eq(gw:delete_path("/api/v2/things/1").status, "deleted")
  t.ok(gw:get_path("/api/v2/things/1") == nil)
  t.raises(function() gw:request { method = "POST", path = "/x", json = {} } end, "post_path")
  t.eq(gw:request { path = "/nowhere", ok_status = { 404 } }.status, 404)
end)

t.test("remove sends If-Match and is audited", function()
  local gw, client, audit = holding()
  local live = gw:get("index", PLACE)
  t.eq(gw:remove("index", PLACE, { base = live }).status, "deleted")
  t.eq(client.requests[2].headers, { ["If-Match"] = '"1"' })
  t.eq(audit.lines[2].status, "deleted")
end)

t.test("tutorial fault 10: [], 16 digits and 0.1 come through a change unharmed", function()
  local client = fake.client()
  client.held["/api/v2/things/1"] = { text = '{"big":9007199254740991,"list":[],"n":1,"small":0.1}', etag = '"7"' }
  local gw = fake.open(client)
  local thing = gw:get_path("/api/v2/things/1")
  thing.content.n = 2
  gw:put_path("/api/v2/things/1", thing.content, { base = thing })
  t.eq(json.encode(client.requests[2].json), '{"big":9007199254740991,"list":[],"n":2,"small":0.1}')
end)

-- ---- ETags that If-Match can't compare ----

-- A gateway whose ETags pass a proxy. shown(version): what the client sees; takes(If-Match, version): what is let in.
local function behind_proxy(shown, takes)
  local held, version, seen = { a = 1 }, 1, {}
  local client = fake.client { before = function(request)
    seen[#seen + 1] = request.method .. (request.headers and request.headers["If-Match"] or "")
    if request.method == "GET" then return fake.answer(request, 200, held, { etag = shown(version) }) end
    if not takes(request.headers["If-Match"], version) then return fake.answer(request, 412) end
    held, version = request.json, version + 1
    return fake.answer(request, 200, {}, { etag = shown(version) })
  end }
  local gw, audit = fake.open(client)
  local live = gw:get_path "/x"
  local ok, result = pcall(gw.put_path, gw, "/x", { a = 2 }, { base = live, unconditional = false })
  return ok, result, held, seen, audit
end

local function weak(version) return ('W/"%d"'):format(version) end

t.test("a weak ETag: its strong form is sent, else the content is compared; nobody else is blamed", function()
  local function strong(match, version) return match == ('"%d"'):format(version) end
  local ok, result, held, seen = behind_proxy(weak, strong)
  t.eq({ ok, result.status, held.a, table.concat(seen, " ") }, { true, "updated", 2, 'GET PUT"1"' })
  ok, result, held, seen = behind_proxy(weak, function(match) return match == nil end)
  t.eq({ ok, result.status, held.a, table.concat(seen, " ") }, { true, "updated", 2, 'GET PUT"1" GET GET PUT' })
  local _, err
  ok, err, held = behind_proxy(weak, function() return false end)
  t.eq({ ok, err.code, held.a }, { false, "conflict", 1 })
  t.ok(err.message:find('weak ETag W/"1"', 1, true) and not err.message:find "somebody", err.message)
  ok, err, _, seen = behind_proxy(function(v) return ('"%d-gzip"'):format(v) end, strong)
  t.ok(not ok and err.message:find('refuses its own ETag "1-gzip"', 1, true), tostring(err))
  t.eq(table.concat(seen, " "), 'GET PUT"1-gzip" GET')
end)
