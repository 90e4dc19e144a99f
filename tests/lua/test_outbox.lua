-- The outbox: messages as rows, delivered at least once under one id, by whoever has the lease.
-- Runs on both forms of the store (tests/e2e/postgres.t).
local fake = require "fake_gateway"
local holder = require "moongate.holder"
local host = require "moongate.host"
local httpd = require "moongate.httpd"
local json = require "moongate.json"
local outbox = require "moongate.outbox"
local rows = require "moongate.queue.kinds.message"
local secret = require "moongate.secret"
local sealed = require "moongate.sealed"
local sender = require "moongate.outbox.sender"
local store = require "moongate.store"
local t = require "moongate.test"
local task = require "moongate.task"
local webhook = require "moongate.webhook"
local workflow = require "moongate.workflow"

local KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
local quiet = { error = function() end, warn = function() end, info = function() end, debug = function() end }

local function receiver(answer)
  local got = {}
  local server = assert(httpd.serve { handler = function(req)
    got[#got + 1] = { headers = req.headers, body = req.body, id = req.headers["webhook-id"] }
    return answer and answer(#got, req) or { status = 204 }
  end })
  return server, got
end

-- A run with a store -> what its function returns, its audit log, and the whole outcome.
local function run_with(db, hooks, fn)
  local audit = fake.audit()
  local definition = workflow.define { name = "w", summary = "s", run = fn }
  local out = workflow.execute(definition, {}, { project = { webhooks = hooks }, audit = audit, store = db })
  return out.data, audit, out
end

-- Another process that looks after the outbox.
local function env_of(db, hooks, more)
  local parts = { db = db, audit = fake.audit(), log = quiet, webhooks = hooks }
  for k, v in pairs(more or {}) do parts[k] = v end
  return outbox.env(parts)
end

local function make_due(db)
  assert(db:exec "UPDATE queue_items SET not_before = 0")
end

local function all(db)
  local list = rows.list(db, rows.STATES, 1000)
  table.sort(list, function(a, b) return a.seq < b.seq end)
  for i, row in ipairs(list) do list[i] = rows.get(db, row.id) end
  return list
end

t.test("a store that can't be used is told of, and the message goes out all the same", function()
  local server, got = receiver()
  local logged = {}
  local definition = workflow.define { name = "w", summary = "s", run = function(run)
    local function note(fmt, ...) logged[#logged + 1] = fmt:format(...) end
    sealed.open(run).log = { error = note, warn = function() end }
    return { notes = run:webhook("e", {}) }
  end }
  local out = workflow.execute(definition, {}, {
    project = { webhooks = { a = { url = server.url } } }, audit = fake.audit(),
    store = function() return store.open "sqlite:/proc/no/such.db" end,
  })
  server:stop()
  t.eq({ #got, out.data.notes[1].delivered }, { 1, true })
  t.ok(logged[1]:find "can't be kept", logged[1])
end)

t.test("a machine that slept does not go on with what may be another's", function()
  local attempts = require "moongate.webhooks.attempts"
  local errors, now, asked = require "moongate.error", 1000, 0
  local client = { request = function()
    asked, now = asked + 1, now + 70
    return nil, errors.new { code = "connect", message = "gone" }
  end }
  local clock = {
    now = function() return now end, monotonic = function() return 0 end, random = function() return 0 end,
    sleep = function() end,
  }
  local _, err = attempts.deliver({ url = "https://x", body = "{}", id = "m", profile = "standard", ours_until = 1060 },
    { client = client, clock = clock })
  t.eq({ asked, err.code }, { 1, "connect" })
end)

local function tests(name, open)
  local function test(what, fn)
    t.test(name .. ": " .. what, function()
      local db = open()
      assert(db:exec "DELETE FROM queue_items")
      assert(db:exec "DELETE FROM webhook_state")
      fn(db)
      db:close()
    end)
  end

  test("what is delivered is a row that says so; the signature is good", function(db)
    local server, got = receiver()
    local data = run_with(db, { a = { url = server.url, secret = KEY }, b = { url = server.url } }, function(run)
      return { notes = run:webhook("e", { n = 1 }) }
    end)
    server:stop()
    t.eq(#got, 2)
    for i, row in ipairs(all(db)) do
      t.eq({ row.state, row.attempts, row.tries, row.last_status, row.event }, { "done", 1, 1, 204, "e" })
      t.eq(row.lease_holder, nil)
      t.ok(row.finished_at >= row.created_at)
      t.eq(data.notes[i].delivered, true)
    end
    for _, message in ipairs(got) do
      if message.headers["webhook-signature"] then
        t.ok(webhook.verify { secret = KEY, headers = message.headers, body = message.body })
      end
    end
  end)

  test("what the receiver does not take is kept, said so, and delivered later under the same id", function(db)
    local broken = true
    local server, got = receiver(function() return broken and { status = 400 } or { status = 200 } end)
    local hooks = { a = { url = server.url .. "/T0/secret-path-of-16", secret = KEY } }
    local data, audit, out = run_with(db, hooks, function(run) return { notes = run:webhook("e", { n = 1 }) } end)
    local note = data.notes[1]
    t.eq({ note.delivered, note.kept, note.status, note.tries }, { false, true, 400, 1 })
    t.eq({ data.undelivered_webhooks.total, data.undelivered_webhooks.kept }, { 1, 1 })
    t.eq(data.undelivered_webhooks.look, "moongate queue list")
    t.eq(data.undelivered_webhooks.first[1].kept, true)
    t.ok(out.lines[#out.lines]:find "kept and tried again: moongate queue list", out.lines[#out.lines])
    t.eq({ audit.lines[1].status, audit.lines[1].kept }, { "undelivered", true })
    t.eq(sender.once(env_of(db, hooks), { due = true }).pending, 0, "not due yet")
    make_due(db)
    broken = false
    local env = env_of(db, hooks)
    t.eq(sender.once(env, { due = true }).delivered, 1)
    server:stop()
    t.eq(#got, 2)
    t.eq(got[1].id, got[2].id)
    t.eq(got[1].body, got[2].body)
    t.ok(webhook.verify { secret = KEY, headers = got[2].headers, body = got[2].body })
    t.eq({ env.audit.lines[1].action, env.audit.lines[1].status }, { "webhook_delivery", "delivered" })
    local row = all(db)[1]
    t.eq({ row.state, row.tries, row.attempts, row.last_error }, { "done", 2, 2, nil })
    t.eq(row.body:find "MfKQ" or row.secret_ref:find "MfKQ", nil)
  end)

  test("two that flush at once send each message once", function(db)
    local server, got = receiver()
    local hooks = { a = { url = server.url } }
    for i = 1, 30 do
      local statement = rows.insert {
        id = "msg_" .. i, webhook = "a", url = server.url, event = "e", body = "{}", profile = "standard",
        secret_ref = "project",
      }
      assert(db:batch(statement))
    end
    local counts = assert(task.map({ 1, 2, 3 }, 3, function() return sender.once(env_of(db, hooks), {}) end))
    server:stop()
    t.eq(#got, 30)
    t.eq(counts[1].delivered + counts[2].delivered + counts[3].delivered, 30)
  end)

  test("a lease is respected while its holder lives, and taken from one that is gone", function(db)
    local server, got = receiver()
    local function put(id, token)
      assert(db:batch(rows.insert {
        id = id, webhook = "a", url = server.url, event = "e", body = "{}", profile = "standard", secret_ref = "none",
        lease_holder = token,
      }))
    end
    local gone = host.process()
    gone.started = gone.started + 1 -- the pid is another one's now
    local away = host.process()
    away.boot = "another machine"
    put("living", holder.token())
    put("gone", assert(json.encode(gone)))
    put("away", assert(json.encode(away)))
    local counts = sender.once(env_of(db, {}), {})
    t.eq({ counts.delivered, counts.busy, got[1].id, #got }, { 1, 2, "gone", 1 })
    assert(db:exec "UPDATE queue_items SET lease_until = 1 WHERE request_id = 'away'")
    t.eq(sender.once(env_of(db, {}), {}).delivered, 1)
    t.eq(got[2].id, "away")
    server:stop()
  end)

  test("who lost the lease does not note its outcome", function(db)
    assert(db:batch(rows.insert {
      id = "m", webhook = "a", url = "http://x", event = "e", body = "{}", profile = "standard", secret_ref = "none",
    }))
    local one, two = holder.token(), holder.token()
    t.ok(rows.claim(db, "m", one))
    t.eq(rows.claim(db, "m", two), nil)
    assert(db:exec "UPDATE queue_items SET lease_until = 1 WHERE state = 'running'")
    t.ok(rows.claim(db, "m", two))
    t.eq(rows.settle(db, "m", one, { state = "dead", error = "late" }), false)
    t.eq(rows.get(db, "m").state, "running")
    t.eq(rows.settle(db, "m", two, { state = "done", status = 200, attempts = 1, counted = true }), true)
    t.eq(rows.get(db, "m").state, "done")
  end)

  test("410 disables the webhook: its messages are dead letters until retry enables it", function(db)
    local status = 410
    local server, got = receiver(function() return { status = status } end)
    local hooks = { a = { url = server.url } }
    local data, audit = run_with(db, hooks, function(run)
      return { one = run:webhook("e", {})[1], two = run:webhook("f", {})[1] }
    end)
    t.eq({ data.one.disabled, data.one.dead }, { true, "it answered 410 Gone" })
    t.eq({ data.two.disabled, data.two.attempts }, { true, 0 })
    t.ok(data.two.dead:find "moongate queue retry")
    t.eq(#got, 1)
    local actions = {}
    for i, line in ipairs(audit.lines) do actions[i] = line.action end
    t.eq(table.concat(actions, " "),
      "webhook_delivery webhook_dead_letter webhook_delivery webhook_dead_letter")
    t.eq(rows.counts(db).dead, 2)
    t.eq(run_with(db, hooks, function(run) return { n = run:webhook("g", {})[1] } end).n.disabled, true, "the next run")
    local env = env_of(db, hooks)
    status = 200
    for _, row in ipairs(all(db)) do t.ok(rows.retry(db, row.id, row.url)) end
    env.state:enable("a", server.url)
    t.eq(sender.once(env, { due = true }).delivered, 3)
    server:stop()
  end)

  test("a webhook that is not in the project file, or has another URL, is told nothing", function(db)
    local server, got = receiver(function() return { status = 503 } end)
    run_with(db, { a = { url = server.url }, b = { url = server.url } }, function(run)
      return { run:webhook("e", {}) }
    end)
    local before = #got
    make_due(db)
    local env = env_of(db, { a = { url = server.url .. "/elsewhere" } })
    outbox.leftovers(env, {})
    t.eq(rows.counts(db).waiting, 2, "they may be another project's")
    t.eq(sender.once(env, {}).dead, 2)
    server:stop()
    t.eq(#got, before)
    local reasons = {}
    for i, row in ipairs(all(db)) do reasons[i] = row.last_error end
    table.sort(reasons)
    t.ok(reasons[1]:find "the project file has no webhook b", reasons[1])
    t.ok(reasons[2]:find "the webhook a has another URL", reasons[2])
  end)

  test("a script's own webhook: its secret is found again by its variable; one that is nowhere is a dead letter",
    function(db)
      local broken = true
      local server, got = receiver(function() return { status = broken and 400 or 204 } end)
      local home = assert(secret.env "HOME")
      run_with(db, {}, function(run)
        run:webhook("e", {}, {
          headers = { ["X-Key"] = home, ["X-Plain"] = "p" },
          also = {
            named = { url = server.url, secret = { home } }, plain = { url = server.url },
            lost = { url = server.url, secret = secret.random() },
          },
        })
      end)
      broken = false
      for _, row in ipairs(all(db)) do
        for _, column in ipairs { "secret_ref", "headers_json", "body" } do
          t.eq((row[column] or ""):find(host.getenv "HOME", 1, true), nil)
        end
      end
      local counts = sender.once(env_of(db, {}), {})
      server:stop()
      t.eq({ counts.delivered, counts.dead }, { 2, 1 })
      for i = 4, 5 do
        t.eq({ got[i].headers["x-plain"], got[i].headers["x-key"] }, { "p", host.getenv "HOME" })
      end
      for _, row in ipairs(all(db)) do
        if row.webhook == "lost" then t.ok(row.last_error:find "only known to the run", row.last_error) end
      end
    end)

  test("by hand, before its time: what fails keeps its place in the schedule", function(db)
    local server = receiver(function() return { status = 400 } end)
    local hooks = { a = { url = server.url } }
    run_with(db, hooks, function(run) run:webhook("e", {}) end)
    local before = all(db)[1]
    for _ = 1, 12 do t.eq(sender.once(env_of(db, hooks), {}).pending, 1) end
    server:stop()
    local row = all(db)[1]
    t.eq({ row.tries, row.next_at, row.state }, { 1, before.next_at, "waiting" })
    t.ok(row.attempts > before.attempts)
  end)

  test("a step's rows go with its transaction, and are found again by run and step", function(db)
    local server, got = receiver()
    local definition = workflow.define { name = "w", summary = "s", run = function(run)
      run = sealed.open(run)
      run.id = "run-1"
      local statements, ids = outbox.rows(run, "e", { n = 1 }, nil, "7")
      t.eq({ #statements, #ids }, { 2, 1 })
      local bad = { table.unpack(statements) }
      bad[3] = { "UPDATE queue_items SET state = 'x' WHERE request_id = 'nobody'", expect = 1 }
      t.fails("conflict", db:batch(bad))
      t.eq(#all(db), 0)
      assert(db:batch(statements))
      t.eq(#got, 0)
      local notes = outbox.replayed(run, "7") -- the process died before it delivered
      t.eq({ #notes, notes[1].delivered }, { 1, false })
      assert(db:exec "UPDATE queue_items SET lease_until = 1 WHERE state = 'running'")
      notes = outbox.replayed(run, "7")
      t.eq(run.audit.lines[#run.audit.lines].run, "run-1")
      t.eq({ notes[1].delivered, notes[1].id, got[1].id }, { true, ids[1], ids[1] })
      t.eq(outbox.replayed(run, "7")[1].delivered, true)
      t.eq(outbox.replayed(run, "8"), {})
      t.eq(#got, 1)
    end }
    workflow.execute(definition, {}, {
      project = { webhooks = { a = { url = server.url } } }, audit = fake.audit(), store = db,
    })
    server:stop()
  end)

  test("data that is no JSON is told of, kept nowhere, and fails nothing", function(db)
    local data = run_with(db, { a = { url = "http://127.0.0.1:1" } }, function(run)
      return { note = run:webhook("e", { print })[1] }
    end)
    t.eq({ data.note.delivered, data.note.kept }, { false, nil })
    t.eq(#all(db), 0)
    t.eq(data.undelivered_webhooks.total, 1)
  end)

  test("a flush tries each once, however many there are", function(db)
    local statements = {}
    for i = 1, 450 do
      table.move(rows.insert {
        id = ("m%03d"):format(i), webhook = "a", url = "http://127.0.0.1:1/" .. i, event = "e", body = "{}",
        profile = "standard", secret_ref = "none",
      }, 1, 2, #statements + 1, statements)
    end
    assert(db:batch(statements))
    local env = env_of(db, {})
    t.eq(sender.once(env, {}).pending, 450)
    t.eq(#env.audit.lines, 450)
  end)

  test("in a dry run nothing is kept", function(db)
    local definition = workflow.define { name = "w", summary = "s", run = function(run) run:webhook("e", {}) end }
    workflow.execute(definition, {}, {
      project = { webhooks = { a = { url = "http://127.0.0.1:1" } } }, store = db, dry_run = true,
    })
    t.eq(#all(db), 0)
  end)

  test("what is old and over goes; what lies there is measured", function(db)
    local hooks = { a = { url = "http://127.0.0.1:1" } }
    for i, state in ipairs { "waiting", "dead", "done", "dropped" } do
      assert(db:batch(rows.insert {
        id = "m" .. i, webhook = "a", url = "u", event = "e", body = "{}", profile = "standard", secret_ref = "none",
        state = state,
      }))
    end
    assert(db:exec "UPDATE queue_items SET updated_at = 1000")
    rows.prune(env_of(db, hooks).db)
    t.eq(rows.counts(db), { queued = 0, waiting = 1, running = 0, dead = 1, done = 0, dropped = 0 })
    local registry = require("moongate.metrics").new()
    outbox.measure(db, registry)
    t.ok(registry:prometheus():find('moongate_outbox_messages{state="dead"} 1', 1, true), registry:prometheus())
  end)

  test("retry and drop leave alone what is over or in somebody's hands", function(db)
    local function put(id, state, token)
      assert(db:batch(rows.insert {
        id = id, webhook = "a", url = "u", event = "e", body = "{}", profile = "standard", secret_ref = "none",
        state = state, lease_holder = token,
      }))
    end
    put("dead", "dead")
    put("delivered", "done")
    put("held", "queued", holder.token())
    t.eq({ rows.retry(db, "dead", "v"), rows.retry(db, "delivered", "v"), rows.retry(db, "held", "v") },
      { true, false, false })
    t.eq({ rows.get(db, "dead").state, rows.get(db, "dead").url }, { "queued", "v" })
    t.eq({ rows.drop(db, "dead"), rows.drop(db, "delivered"), rows.drop(db, "held") }, { true, false, false })
    t.eq(rows.get(db, "dead").state, "dropped")
  end)
end

local given = host.getenv "MOONGATE_TEST_STATE"
tests(given and "postgres" or "sqlite", function() return assert(store.open(given or "sqlite::memory:")) end)
