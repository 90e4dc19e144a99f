-- A queue of prompts that several workers work off: limits for all together, leases, tries again, dead letters, results
-- in order. Runs on both forms (tests/e2e/postgres.t).
local bundled = require "moongate.bundled"
local holder = require "moongate.holder"
local http = require "moongate.http"
local json = require "moongate.json"
local results = require "moongate.queue.results"
local router = require "moongate.router"
local session = require "sim_session"
local stores = require "stores"
local t = require "moongate.test"
local task = require "moongate.task"
local time = require "moongate.time"
local uuid = require "moongate.uuid"
local queues = require "moongate.queue"
local worker = require "moongate.queue.worker"

local QUICK = { backoff = 0.01, grace = 0.05, lease = 5 }

local function settings(more)
  local all = {}
  for _, part in ipairs { QUICK, more or {} } do
    for k, v in pairs(part) do all[k] = v end
  end
  return all
end

local function raised(fn, ...)
  local ok, err = pcall(fn, ...)
  t.ok(not ok, "it raises")
  return err
end

local function items(n, from)
  local out = {}
  for i = 1, n do
    local line = (from or 0) + i
    out[i] = { request_id = uuid.v4(), payload = ('{"line":%d,"prompt":"p%d"}'):format(line, line) }
  end
  return out
end

local function seqs(turn)
  local out = {}
  for i, item in ipairs(turn.items) do out[i] = item.seq end
  table.sort(out)
  return out
end

local function finished(turn, state, more)
  local out = {}
  for i, item in ipairs(turn.items) do
    out[i] = { seq = item.seq, state = state, result = state ~= "waiting" and ('{"n":%d}'):format(item.seq) or nil }
    for k, v in pairs(more or {}) do out[i][k] = v end
  end
  return out
end

local function counts(q)
  local c = q:status()
  for name, n in pairs(c) do if n == 0 then c[name] = nil end end
  return c
end

local function text_of(q, opts)
  local parts = {}
  local out = results.write(q, function(text) parts[#parts + 1] = text return true end, opts or {})
  return table.concat(parts), out
end

stores.each(function(kind, open)
  local function test(name, fn)
    t.test(kind .. ": " .. name, function()
      local db <close> = open()
      assert(db:batch { { "DELETE FROM queue_items" }, { "DELETE FROM queues WHERE kind = 'prompt'" } })
      fn(db)
    end)
  end

  test("what is in the queue is not added again, and a line stays what it was", function(db)
    local q, list = queues.create(db, "q", settings()), items(5)
    t.eq(q:add(list), 5)
    t.eq(q:add(list), 0)
    local more = items(2, 5)
    t.eq(q:add { list[5], more[1], more[2] }, 2)
    local err = raised(function() q:add { { request_id = list[1].request_id, payload = "{}" } } end)
    t.eq(err.code, "conflict")
    t.eq(q:add {}, 0)
    t.eq(counts(q), { queued = 7 })
    t.eq(seqs(q:turn("a", {}, 10)), { 1, 2, 3, 4, 5, 6, 7 })
    t.eq(raised(queues.open, db, "none").code, "not_found")
    t.eq(queues.list(db), { "q" })
  end)

  test("a queue is for one gateway", function(db)
    local q = queues.create(db, "q", settings { gateway = "https://a" })
    queues.create(db, "q", { concurrency = 6 })
    t.eq({ q:settings().gateway, q:settings().concurrency }, { "https://a", 6 })
    q:check_gateway "https://a"
    for _, fn in ipairs {
      function() q:check_gateway "https://b" end,
      function() queues.create(db, "q", { gateway = "https://b" }) end,
    } do
      local ok, err = pcall(fn)
      t.eq({ ok, err.code }, { false, "conflict" })
    end
    t.eq(q:settings().gateway, "https://a")
  end)

  test("no more at once than the queue allows, whoever asks", function(db)
    local q = queues.create(db, "q", settings { concurrency = 4 })
    q:add(items(10))
    local a = q:turn("a", {}, 3)
    t.eq(seqs(a), { 1, 2, 3 })
    local b = q:turn("b", {}, 3)
    t.eq(seqs(b), { 4 })
    t.eq(seqs(q:turn("c", {}, 3)), {})
    t.eq(seqs(q:turn("a", finished(a, "done"), 3)), { 5, 6, 7 })
    queues.create(db, "q", { concurrency = 6 })
    t.eq(seqs(q:turn("c", {}, 3)), { 8, 9 })
    t.eq(counts(q), { done = 3, running = 6, queued = 1 })
  end)

  test("no more in a second than the queue allows", function(db)
    local q = queues.create(db, "q", settings { concurrency = 1000, rate = 50 })
    q:add(items(200))
    local began, starts = time.monotonic(), {}
    while time.monotonic() - began < 2.5 do
      local turn = q:turn("a", {}, 100)
      for _ = 1, #turn.items do starts[#starts + 1] = time.monotonic() end
      t.ok(turn.wait < 0.5)
      task.sleep(turn.wait)
    end
    local most, first = 0, 1
    for i = 1, #starts do
      while starts[i] - starts[first] >= 1 do first = first + 1 end
      most = math.max(most, i - first + 1)
    end
    t.ok(most <= 51, "in one second: " .. most)
    t.ok(#starts >= 2.5 * 50 * 0.8, "all in all: " .. #starts)
  end)

  test("a lease that runs out, and one that is renewed", function(db)
    local q = queues.create(db, "q", settings { lease = 0.2, attempts = 3 })
    q:add(items(2))
    local a = q:turn("a", {}, 2)
    for _ = 1, 4 do
      task.sleep(0.1)
      q:renew("a", 0.2)
    end
    t.eq(seqs(q:turn("b", {}, 2)), {})
    q:leave("a", 0.02)
    task.sleep(0.05)
    local b = q:turn("b", {}, 2)
    t.eq(seqs(b), { 1, 2 })
    t.eq(b.items[1].attempts, 1)
    t.eq(q:turn("a", finished(a, "done"), 0).kept, 0)
    t.eq(q:turn("b", { finished(b, "done")[1] }, 0).kept, 1)
    for i = 1, 2 do
      q:leave("b", 0)
      q:leave("c", 0)
      task.sleep(0.01)
      t.eq(#q:turn("c", {}, 1).items, 2 - i)
    end
    t.eq(counts(q), { done = 1, dead = 1 })
    local text = text_of(q)
    t.ok(text:find('"code":"lost"', 1, true), text)
    t.eq(q:retry {}, 1)
    t.eq(counts(q), { done = 1, queued = 1 })
  end)

  test("a worker of this machine that is gone is noticed", function(db)
    local q = queues.create(db, "q", settings { lease = 60, grace = 0.02 })
    local gone = json.decode(holder.token())
    gone.pid, gone.started = 1 << 30, 1
    q:add(items(2))
    q:turn(assert(json.encode(gone)), {}, 1)
    q:turn(holder.token(), {}, 1)
    q:sweep(0.02)
    task.sleep(0.05)
    t.eq(seqs(q:turn("b", {}, 5)), { 1 })
  end)

  test("what waits comes in its time, before what is new", function(db)
    local q = queues.create(db, "q", settings())
    q:add(items(3))
    local a = q:turn("a", {}, 1)
    t.eq(seqs(q:turn("a", finished(a, "waiting", { wait = 0.1, facts = '{"at":2}', tries = 1 }), 1)), { 2 })
    task.sleep(0.15)
    local again = q:turn("a", {}, 1)
    t.eq(again.items[1].seq, 1)
    t.eq({ again.items[1].facts_json, again.items[1].attempts }, { '{"at":2}', 1 })
  end)

  test("results in order; what is dropped is gone", function(db)
    local q = queues.create(db, "q", settings())
    q:add(items(4))
    local a = q:turn("a", {}, 4)
    table.sort(a.items, function(x, y) return x.seq > y.seq end)
    local list = finished(a, "done")
    q:turn("a", { list[1], list[2] }, 0)
    local text, out = text_of(q)
    t.eq({ text, out.unfinished }, { '{"n":3}\n{"n":4}\n', 2 })
    local follower = task.spawn(function() return text_of(q, { follow = true }) end)
    task.sleep(0.01)
    q:turn("a", { list[4] }, 0)
    q:turn("a", { list[3] }, 0)
    t.eq(follower:join(), '{"n":1}\n{"n":2}\n{"n":3}\n{"n":4}\n')
    t.eq(text_of(q, { json = true }), '{"n":1},\n{"n":2},\n{"n":3},\n{"n":4}')
    q:add(items(1, 4))
    t.eq(q:drop "finished", 4)
    t.eq(q:drop "all", 1)
    t.eq(q:turn("a", {}, 1).gone, true)
  end)

  -- ---- with a gateway ----

  local function enqueue(db, server, lines, values)
    local store = require "moongate.store"
    local original = store.session
    store.session = function() return db end
    local fs = require "moongate.fs"
    assert(fs.mkdir "build/tmp/test_queue")
    local path = "build/tmp/test_queue/prompts.jsonl"
    assert(fs.write(path, table.concat(lines, "\n")))
    local all = { file = path, model = "sim-small", temperature = "default", max_tokens = 2048, top_p = 0.95,
      enqueue = true, queue_name = "q" }
    for k, v in pairs(values or {}) do all[k] = v end
    local ok, out = pcall(session.execute, server, bundled.load "route-prompts", { values = all })
    store.session = original
    assert(fs.remove(path))
    if not ok then error(out, 0) end
    return out
  end

  -- One worker of its own client, as in a process of its own.
  local function work(db, server, opts)
    local gateway = session.gateway(server, { client = session.client(server, { retry = { max = 1 } }) })
    local r = router.open { gateway = gateway, concurrency = 8, audit = opts and opts.audit }
    local all = { concurrency = 8, drain = true, deadline = 5, base_url = server.url }
    for k, v in pairs(opts or {}) do if k ~= "audit" then all[k] = v end end
    return worker.run({ progress = function() return { advance = function() end, done = function() end } end },
      queues.open(db, "q"), r, all)
  end

  local function lines_of(q)
    local out = {}
    for line in text_of(q):gmatch "[^\n]+" do out[#out + 1] = assert(json.decode(line)) end
    return out
  end

  test("enqueued, worked off by three, each with one effect", function(db)
    local server <close> = session.start { prompts = {
      ["sim-small"] = { failure = 0.1, busy = 0.1, cut = 0.05, policy = 0.05, latency = 0.002 },
    } }
    local q, list = queues.create(db, "q", settings { concurrency = 10 }), {}
    for i = 1, 200 do list[i] = ('{"id":%d,"prompt":"Question %d"}'):format(i, i) end
    list[100] = "no JSON"
    local out = enqueue(db, server, list, { fallback = "sim-large" })
    t.eq({ out.data.added, out.data.invalid, out.exit_status }, { 200, 1, 3 })
    http.breaker(server.url, "none")
    local sums = assert(task.map({ 1, 2, 3 }, 3, function() return work(db, server) end))
    t.eq(sums[1].done + sums[2].done + sums[3].done, 199)
    local lines = lines_of(q)
    t.eq(#lines, 200)
    for i, line in ipairs(lines) do t.eq({ line.line, line.status }, { i, i == 100 and "invalid" or "ok" }) end
    local stats = server:stats().prompts
    local hits, requests, attempts = 0, 0, 0
    for _, c in pairs(stats.models) do
      hits, requests, attempts = hits + c.hits, requests + c.requests, attempts + c.attempts
    end
    t.eq({ hits, stats.without_id }, { 199, 0 })
    t.ok(attempts > requests)
    t.eq(counts(q), { done = 199, failed = 1 })
  end)

  test("refused for good, and given up", function(db)
    local server <close> = session.start { prompts = { ["sim-large"] = { failure = 1 } } }
    local q = queues.create(db, "q", settings { attempts = 3 })
    enqueue(db, server, { '"[violate]"', '{"prompt":"x","model":"sim-large"}', '"fine"' })
    local sum = work(db, server)
    t.eq({ sum.done, sum.failed, sum.dead }, { 1, 1, 1 })
    local lines = lines_of(q)
    t.eq({ lines[1].error.gateway_code, lines[2].error.status, lines[2].attempts, lines[3].status },
      { "policy.violation", 503, 3, "ok" })
    t.eq(q:retry { failed = true }, 2)
    t.eq(counts(q), { queued = 2, done = 1 })
  end)

  test("a worker that fails gives its prompts back", function(db)
    local server <close> = session.start {}
    local q = queues.create(db, "q", settings())
    enqueue(db, server, { '"a"', '"b"' })
    local audit = { event = function(e) -- the first line is written, those of the prompts are not
      if e.action == "prompt_routing" then return 1 end
      return nil, { code = "io" }
    end }
    local err = raised(work, db, server, { audit = audit })
    t.eq(err.code, "io")
    t.eq(counts(q), { waiting = 2 })
    t.eq(work(db, server).done, 2)
    local stats = server:stats().prompts.models
    for _, c in pairs(stats) do t.eq({ c.hits, c.duplicates }, { 2, 2 }) end
  end)

  test("a dry run puts nothing in", function(db)
    local server <close> = session.start {}
    t.eq(raised(enqueue, db, server, { '"a"' }, { model = "none" }).code, "invalid")
    t.eq(queues.list(db), { "q" })
  end)
end)
