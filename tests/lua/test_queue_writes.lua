-- Writes that wait for a gateway that is away: into the queue, in order, out of it. Runs on both forms.
local diff = require "moongate.diff"
local errors = require "moongate.error"
local fake = require "fake_gateway"
local flush = require "moongate.queue.flush"
local writes = require "moongate.queue.kinds.write"
local sealed = require "moongate.sealed"
local stores = require "stores"
local t = require "moongate.test"

local KEY = "/api/v2/ai/vectorstores/vs/indexes/"

local function place(id) return { vectorStoreId = "vs", indexId = id or "orders" } end

local function config(changes)
  local c = { indexId = "orders", dimensions = 768, similarityMetric = "cosine", embeddingFormat = "float32" }
  for k, v in pairs(changes or {}) do c[k] = v end
  return c
end

local function fails(code, fn, ...)
  local ok, err = pcall(fn, ...)
  t.ok(not ok and errors.is(err), "no error object: " .. tostring(err))
  t.eq(err.code, code, tostring(err))
  return err
end

local function away(request)
  return nil, errors.new { code = "connect", message = "connection refused", method = request.method,
    path = request.path, outcome = "not_sent", attempts = 4 }
end

-- A gateway that is away while client.away is set, and holds the index `orders`.
local function gateway_of(db, opts)
  local client = fake.client { before = function(request, _, client)
    if client.away then return away(request) end
  end }
  client.wrap = true
  client:hold(KEY .. "orders", config())
  local all = { store = db, queue = true }
  for k, v in pairs(opts or {}) do all[k] = v end
  local gw, audit = fake.open(client, all)
  return gw, client, audit
end

-- Reads, changes and writes, as a workflow does.
local function change(gw, changes, opts)
  local id = changes.indexId or "orders"
  local all = { base = gw:get("index", place(id), { for_write = true }), content = config(changes) }
  for k, v in pairs(opts or {}) do all[k] = v end
  return gw:write("index", place(id), all)
end

stores.each(function(kind, open)
  local function test(name, fn)
    t.test(("%s: %s"):format(kind, name), function()
      local db <close> = open()
      assert(db:exec "DELETE FROM queue_items")
      fn(db)
    end)
  end

  local function states(db)
    local out = {}
    for i, row in ipairs(writes.list(db, { all = true })) do
      out[i] = row.superseded and "superseded" or row.state
    end
    return out
  end

  local function send(gw, db, opts)
    return flush.run(gw, db, writes.list(db), opts or {})
  end

  test("a write with a secret in its headers is refused, and not in the queue without it", function(db)
    local gw, client = gateway_of(db)
    client.away = true
    local key = assert(require "moongate.secret".of "kept-by-nobody-0123")
    local err = fails("breaker_open", change, gw, { dimensions = 512 }, { headers = { ["X-Key"] = key } })
    t.ok(err.hint:find("header X-Key", 1, true), err.hint)
    t.eq(#writes.list(db), 0)
  end)

  test("without --queue a gateway that is away is an error, and stale state no base", function(db)
    local gw, client = gateway_of(db, { queue = false })
    gw:get("index", place())
    client.away = true
    fails("connect", change, gw, { dimensions = 8 })
    t.eq(#writes.list(db), 0)
  end)

  test("with it the write waits, with what it was to change, and is sent with the ETag of then", function(db)
    local gw, client, audit = gateway_of(db)
    gw:get("index", place())
    client.away = true
    local result = change(gw, { dimensions = 1024 }, { details = function(c) return { dims = c.dimensions } end })
    t.eq(result.status, "queued")
    t.eq(diff.lines(result.changes, ""), { "~ dimensions: 768 -> 1024" })
    t.eq(gw.queued, 1)
    local event = audit.lines[#audit.lines]
    t.eq({ event.action, event.queue_id, event.method, event.error_code },
      { "write_queued", result.queue_id, "PUT", "breaker_open" })
    client.away = false
    client:hold(KEY .. "orders", config()) -- the same content, a new ETag
    local entries = send(gw, db)
    t.eq({ #entries, entries[1].status, entries[1].id }, { 1, "updated", result.queue_id })
    t.eq(gw:get("index", place()).content.dimensions, 1024)
    t.eq(states(db), { "done" })
    event = audit.lines[#audit.lines]
    t.eq({ event.action, event.status, event.queue_id }, { "write_flushed", "updated", result.queue_id })
    t.eq(audit.lines[#audit.lines - 2].dims, 1024)
    t.eq(send(gw, db), {})
  end)

  test("nothing is known of it: it is queued all the same, and built on what is there then", function(db)
    local gw, client = gateway_of(db)
    client.away = true
    t.eq(change(gw, { dimensions = 1024 }).status, "queued")
    t.eq(change(gw, { indexId = "new" }).status, "queued")
    client.away = false
    local entries = send(gw, db)
    t.eq({ entries[1].status, entries[2].status }, { "updated", "created" })
    t.eq(client.requests[#client.requests].headers["If-None-Match"], "*")
  end)

  test("what was written, or dropped, while a flush was under way is not sent by it", function(db)
    local gw, client = gateway_of(db)
    client.away = true
    change(gw, { dimensions = 1024 })
    local other = change(gw, { indexId = "new" })
    client.away = false
    local rows = writes.list(db)
    change(gw, { dimensions = 2048 })
    writes.drop(db, { other.queue_id })
    local entries = flush.run(gw, db, rows, {})
    t.eq({ entries[1].status, entries[2].status }, { "superseded", "dropped" })
    t.eq(gw:get("index", place()).content.dimensions, 2048)
    t.eq(gw:get("index", place("new")), nil)
  end)

  test("a read that no write is to build on still fails", function(db)
    local gw, client = gateway_of(db)
    client.away = true
    fails("connect", function() gw:get("index", place()) end)
  end)

  test("one that is the same as what was read last is queued, too: that may be long ago", function(db)
    local gw, client = gateway_of(db)
    gw:get("index", place())
    client.away = true
    t.eq(change(gw, {}).status, "queued")
    client.away = false
    t.eq(send(gw, db)[1].status, "unchanged")
    t.eq(states(db), { "done" })
    t.eq(client.writes, 0)
  end)

  test("a newer write replaces an older one", function(db)
    local gw, client = gateway_of(db)
    gw:get("index", place())
    client.away = true
    local first = change(gw, { dimensions = 8 })
    change(gw, { indexId = "other" })
    local second = change(gw, { dimensions = 16 })
    t.eq(second.superseded, { first.queue_id })
    t.eq(states(db), { "superseded", "queued", "queued" })
    client.away = false
    t.eq(#send(gw, db), 2)
    t.eq(gw:get("index", place()).content.dimensions, 16)
    t.eq(client.writes, 2)
  end)

  test("a write that gets through replaces what waits", function(db)
    local gw, client = gateway_of(db)
    gw:get("index", place())
    client.away = true
    change(gw, { dimensions = 8 })
    client.away = false
    t.eq(change(gw, { dimensions = 32 }, { queue = false }).status, "updated")
    t.eq(states(db), { "superseded" })
    client.away = true
    change(gw, { dimensions = 8 })
    client.away = false
    t.eq(change(gw, { dimensions = 32 }, { queue = false }).status, "unchanged")
    t.eq(states(db), { "superseded", "superseded" })
  end)

  test("what comes after another keeps its place, and waits with it", function(db)
    local gw, client = gateway_of(db)
    client.away = true
    local a = change(gw, { indexId = "a" })
    local b = change(gw, { indexId = "b" }, { after = a })
    client.away = false
    local c = change(gw, { indexId = "c" }, { after = b }) -- it would get through, but must not overtake
    t.eq(c.status, "queued")
    t.eq(writes.get(db, c.queue_id).depends_on, b.queue_id)
    local order = {}
    client.before = function(request)
      if request.method ~= "PUT" then return end
      order[#order + 1] = request.params.indexId
      if request.params.indexId == "b" then
        return nil, errors.new { code = "http", status = 422, message = "no", outcome = "final", path = "/b" }
      end
    end
    local entries = send(gw, db)
    t.eq({ entries[1].status, entries[2].status, entries[3].status, entries[3].after },
      { "created", "failed", "waiting", b.queue_id })
    t.eq(order, { "a", "b" })
    t.eq(states(db), { "done", "queued", "queued" })
    t.eq(writes.get(db, b.queue_id).error.status, 422)
    client.before = nil
    entries = send(gw, db)
    t.eq({ entries[1].status, entries[2].status }, { "created", "created" })
  end)

  test("a replaced write hands its place on", function(db)
    local gw, client = gateway_of(db)
    client.away = true
    local a = change(gw, { indexId = "a" })
    local b = change(gw, { indexId = "b" }, { after = a })
    local newer = change(gw, { indexId = "a", dimensions = 8 })
    t.eq(newer.superseded, { a.queue_id })
    t.eq(writes.get(db, b.queue_id).depends_on, newer.queue_id)
    -- A newer one that has to come after b must not take the place of the one that b comes after.
    local last = change(gw, { indexId = "a", dimensions = 16 }, { after = b })
    t.eq(last.superseded, {})
    client.away = false
    local entries, order = send(gw, db), {}
    for i, e in ipairs(entries) do order[i] = e.id end
    t.eq(order, { newer.queue_id, b.queue_id, last.queue_id })
    t.eq(gw:get("index", place "a").content.dimensions, 16)
  end)

  test("somebody else has written meanwhile: a conflict, that stays until it is decided", function(db)
    local gw, client, audit = gateway_of(db)
    gw:get("index", place())
    client.away = true
    local w = change(gw, { dimensions = 1024 })
    client.away = false
    client:hold(KEY .. "orders", config { similarityMetric = "euclidean" })
    local entries = send(gw, db)
    t.eq({ entries[1].status, entries[1].failure.code }, { "failed", "conflict" })
    t.ok(entries[1].failure.lines, "it shows both sides")
    t.eq(audit.lines[#audit.lines].error_code, "conflict")
    t.eq(states(db), { "queued" })
    t.eq(writes.get(db, w.queue_id).error.code, "conflict")
    entries = send(gw, db, { on_conflict = "rebase" })
    t.eq(entries[1].status, "updated")
    local now = gw:get("index", place()).content
    t.eq({ now.dimensions, now.similarityMetric }, { 1024, "euclidean" })
  end)

  test("the gateway is still away: all stays, and no more is tried than the first", function(db)
    local gw, client = gateway_of(db)
    client.away = true
    change(gw, { indexId = "a" })
    change(gw, { indexId = "b" })
    local before = #client.requests
    local entries = send(gw, db)
    t.eq({ entries[1].status, entries[2].status }, { "failed", "waiting" })
    t.eq(#client.requests, before + 1)
    t.eq(states(db), { "queued", "queued" })
  end)

  test("a dry run shows, and sends nothing", function(db)
    local gw, client, audit = gateway_of(db)
    client.away = true
    change(gw, { dimensions = 1024 })
    client.away = false
    sealed.open(gw).dry_run = true
    local n = #audit.lines
    local entries = send(gw, db, { dry_run = true })
    t.eq(entries[1].status, "planned")
    t.eq(diff.lines(entries[1].changes, ""), { "~ dimensions: 768 -> 1024" })
    t.eq({ client.writes, #audit.lines, states(db)[1] }, { 0, n, "queued" })
  end)

  test("what was sent and not noted is found done", function(db)
    local gw, client = gateway_of(db)
    gw:get("index", place())
    client.away = true
    change(gw, { dimensions = 1024 })
    client.away = false
    client:hold(KEY .. "orders", config { dimensions = 1024 }) -- the process died right after sending
    t.eq(send(gw, db)[1].status, "unchanged")
    t.eq(client.writes, 0)
  end)

  test("a removal waits, too", function(db)
    local gw, client = gateway_of(db)
    local live = gw:get("index", place())
    client.away = true
    t.eq(gw:remove("index", place(), { base = live }).status, "queued")
    client.away = false
    t.eq(send(gw, db)[1].status, "deleted")
    client.away = true
    gw:delete_path("/notes/{id}", { params = { id = 7 } })
    client.away = false
    t.eq(send(gw, db)[1].status, "unchanged")
  end)

  test("generic paths wait with their words", function(db)
    local gw, client = gateway_of(db)
    client.wrap = false
    client.away = true
    t.eq(gw:put_path("/notes/{id}", { text = "hi" }, { params = { id = 7 } }).status, "queued")
    client.away = false
    t.eq(send(gw, db)[1].status, "created")
    t.eq(gw:get_path("/notes/{id}", { params = { id = 7 } }).content, { text = "hi" })
  end)

  test("what can't be sent twice is not queued, nor a job", function(db)
    local gw, client = gateway_of(db)
    client.away = true
    local err = fails("connect", function() gw:post_path("/things", { a = 1 }) end)
    t.ok(err.hint:find("can't be sent again", 1, true), err.hint)
    err = fails("connect", function()
      gw:write("model", {}, { content = { name = "summariser", endpointUrl = "https://m.example.com",
        authCredentialId = "c", modelArchitecture = "openai", parameters = {},
        rateLimits = { maxRequestsPerMinute = 1, maxTokensPerMinute = 1 } } })
    end)
    t.ok(err.hint:find("has to be watched", 1, true), err.hint)
    t.eq(gw:post_path("/things", { a = 1 }, { idempotent = true }).status, "queued")
  end)

  test("a write that is refused while reads answer is queued, whatever says so", function(db)
    for i, refusal in ipairs {
      { code = "http", status = 503, outcome = "unknown" }, { code = "http", status = 429, outcome = "refused" },
      { code = "timeout", outcome = "not_sent" }, { code = "unknown_outcome", outcome = "unknown" },
    } do
      local gw, client = gateway_of(db)
      client.before = function(request)
        if request.method ~= "PUT" or client.back then return end
        local err = { message = "no", method = request.method, path = request.path, attempts = 3 }
        for k, v in pairs(refusal) do err[k] = v end
        return nil, errors.new(err)
      end
      t.eq(change(gw, { dimensions = 100 + i }).status, "queued")
      client.back = true
      local entries = send(gw, db)
      t.eq({ #entries, entries[1].status }, { 1, "updated" })
      t.eq(gw:get("index", place()).content.dimensions, 100 + i)
    end
  end)

  test("one that is refused for good is not", function(db)
    local gw, client = gateway_of(db)
    client.before = function(request)
      if request.method == "PUT" then
        return nil, errors.new { code = "http", status = 422, message = "no", outcome = "final", attempts = 1 }
      end
    end
    fails("http", change, gw, { dimensions = 8 })
    t.eq(#writes.list(db), 0)
  end)

  test("refused, and then the look at it: queued, and compared before it is sent", function(db)
    local gw, client = gateway_of(db)
    client.before = function(request)
      if request.method == "PUT" and not client.back then client.shut = true end
      if client.shut and not client.back then
        return nil, errors.new { code = "http", status = 503, message = "away", method = request.method,
          path = request.path, outcome = request.method == "PUT" and "unknown" or "final", attempts = 3 }
      end
    end
    t.eq(change(gw, { dimensions = 9 }).status, "queued")
    client.back = true
    client:hold(KEY .. "orders", config { dimensions = 9 }) -- the first one took effect after all
    t.eq(send(gw, db)[1].status, "unchanged")
  end)

  test("an answer that was lost is not queued: it may have taken effect", function(db)
    local gw, client = gateway_of(db)
    client.before = function(request, _, c)
      if request.method == "PUT" then
        c.away = true
        return fake.lost(c, request, false)
      end
      if c.away then return away(request) end
    end
    local ok, err = pcall(change, gw, { dimensions = 8 })
    t.ok(not ok and err.outcome == "unknown", tostring(err))
    t.eq(#writes.list(db), 0)
  end)

  test("dropping", function(db)
    local gw, client = gateway_of(db)
    client.away = true
    local a = change(gw, { indexId = "a" })
    local b = change(gw, { indexId = "b" }, { after = a })
    fails("not_found", writes.drop, db, { 1 << 40 })
    local err = fails("conflict", writes.drop, db, { a.queue_id })
    t.ok(err.message:find("comes after", 1, true))
    t.eq(#writes.drop(db, { a.queue_id, b.queue_id }), 2)
    fails("conflict", writes.drop, db, { a.queue_id })
    t.eq(states(db), { "dropped", "dropped" })
  end)
end)
