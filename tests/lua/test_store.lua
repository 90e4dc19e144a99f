-- The store: calls, batches, transactions. Runs on both forms (tests/e2e/postgres.t).
local t = require "moongate.test"
local host = require "moongate.host"
local store = require "moongate.store"
local task = require "moongate.task"
local uuid = require "moongate.uuid"

local given = host.getenv "MOONGATE_TEST_STATE"
local folder = host.getenv "XDG_STATE_HOME" or "build/tmp"
local urls = given and { given } or { "sqlite::memory:", ("sqlite:%s/store-%s.db"):format(folder, uuid.v4()) }

local function cell(db, key)
  local rows = assert(db:exec("SELECT value_json FROM cells WHERE kind = 'test' AND key = $1", key))
  return rows[1] and rows[1].value_json
end

local PUT = "INSERT INTO cells (kind, key, value_json) VALUES ('test', $1, $2)"

for _, url in ipairs(urls) do
  local kind = url:match "^%a+"
  local shown = url:find "memory" and "memory" or kind
  local function test(name, fn)
    t.test(shown .. ": " .. name, function()
      local db <close> = assert(store.open(url))
      assert(db:exec "DELETE FROM cells")
      assert(db:exec "DELETE FROM leases")
      fn(db)
    end)
  end

  test("values go in and come out", function(db)
    local rows = assert(db:exec("INSERT INTO queues (name, settings_json, state, tokens, tokens_at) " ..
      "VALUES ($1, $2, $3, $4, $5) ON CONFLICT (name) DO UPDATE SET tokens = excluded.tokens " ..
      "RETURNING name, settings_json, state, tokens, tokens_at",
      "q", 'a "b" {c} é\n', "on", 1.5, 2 ^ 53))
    t.eq(rows[1], { name = "q", settings_json = 'a "b" {c} é\n', state = "on", tokens = 1.5, tokens_at = 1 << 53 })
    t.eq(rows.changes, 1)
    t.eq(math.type(rows[1].tokens_at), "integer")
    t.eq(assert(db:exec("UPDATE queues SET settings_json = $1 WHERE name = 'q'", nil)).changes, 1)
    rows = assert(db:exec("SELECT settings_json, count(*) AS n, sum(tokens_at) AS s FROM queues " ..
      "WHERE name = 'q' GROUP BY settings_json"))
    t.eq(rows, { { n = 1, s = 1 << 53 }, changes = 0 })
    t.eq(assert(db:exec "SELECT name FROM queues WHERE state = 'none'"), { changes = 0 })
    t.eq(assert(db:exec "DELETE FROM queues WHERE name = 'q'").changes, 1)
  end)

  test("kind and url", function(db)
    t.eq(db.kind, kind)
    t.ok(db.url:find(kind, 1, true))
    t.eq(db.nothing, nil)
  end)

  test("a batch is all or nothing", function(db)
    local results = assert(db:batch { { PUT, "a", "1" }, { PUT, "b" },
      { "SELECT key FROM cells WHERE kind = 'test' ORDER BY key" } })
    t.eq(results[1].changes, 1)
    t.eq(results[3], { { key = "a" }, { key = "b" }, changes = 0 })
    local r, err = db:batch { { PUT, "c", "1" }, { PUT, "a", "2" } }
    t.eq(r, nil)
    t.eq(err.code, "conflict")
    t.eq(cell(db, "c"), nil)
    t.eq(assert(db:batch {}), {})
  end)

  test("expect", function(db)
    local UPDATE = "UPDATE cells SET value_json = $2 WHERE kind = 'test' AND key = $1"
    assert(db:batch { { PUT, "a", "1", expect = 1 } })
    local r, err = db:batch { { UPDATE, "a", "2", expect = 1 }, { UPDATE, "b", "2", expect = 1 } }
    t.eq(r, nil)
    t.eq(err.code, "conflict")
    t.eq(cell(db, "a"), "1")
    assert(db:batch { { UPDATE, "b", "2", expect = 0 }, { "SELECT 1 AS one", expect = 1 } })
  end)

  test("batches of many tasks, and one that fails among them", function(db)
    local results = task.map({ 1, 2, 3, 4, 5, 6, 7, 8 }, 8, function(i)
      local _, err = db:batch { { PUT, "k" .. i, tostring(i) }, { PUT, i == 4 and "k4" or "l" .. i } }
      return err and err.code or "ok"
    end)
    t.eq(results, { "ok", "ok", "ok", "conflict", "ok", "ok", "ok", "ok" })
    t.eq(assert(db:exec "SELECT count(*) AS n FROM cells")[1].n, 14)
  end)

  test("a transaction reads, decides and writes", function(db)
    assert(db:exec(PUT, "n", "0"))
    task.map({ 1, 2, 3, 4, 5, 6 }, 6, function()
      return assert(db:transaction(function(tx)
        local n = tonumber(assert(tx:exec "SELECT value_json FROM cells WHERE key = 'n' {lock}")[1].value_json)
        task.sleep(0)
        assert(tx:exec("UPDATE cells SET value_json = $1 WHERE key = 'n'", tostring(n + 1)))
        return n
      end))
    end)
    t.eq(cell(db, "n"), "6")
    local a, b = db:transaction(function() return 1, nil, 3 end)
    t.eq({ a, b }, { 1 })
  end)

  test("what is raised rolls back and is raised on", function(db)
    local ok, err = pcall(db.transaction, db, function(tx)
      assert(tx:exec(PUT, "a", "1"))
      error({ mine = true })
    end)
    t.eq(ok, false)
    t.eq(err.mine, true)
    t.eq(cell(db, "a"), nil)
  end)

  test("a statement that fails fails the transaction", function(db)
    assert(db:exec(PUT, "a", "1"))
    local r, err = db:transaction(function(tx)
      assert(tx:exec(PUT, "b", "1"))
      tx:exec(PUT, "a", "1")
      return "well"
    end)
    t.eq(r, nil)
    t.eq(err.code, "conflict")
    t.eq(cell(db, "b"), nil)
  end)

  test("cancelling rolls back, and the next one goes on", function(db)
    local begun = task.semaphore(1)
    begun:acquire()
    local one = task.spawn(function()
      db:transaction(function(tx)
        assert(tx:exec(PUT, "a", "1"))
        begun:release()
        task.sleep(60)
      end)
    end)
    begun:acquire()
    local two = task.spawn(function() return db:transaction(function(tx) return tx:exec(PUT, "b", "1") end) end)
    task.sleep(0)
    one:cancel()
    assert(two:join())
    t.eq(cell(db, "a"), nil)
    t.eq(cell(db, "b"), "1")
  end)

  test("a transaction that is over", function(db)
    local kept
    db:transaction(function(tx) kept = tx end)
    t.raises(function() kept:exec "SELECT 1" end, "the transaction has ended")
    t.raises(function() db:transaction(function() db:exec "SELECT 1" end) end, "use tx:exec")
  end)

  test("time", function(db)
    local now = assert(db:now())
    t.eq(math.type(now), "integer")
    local row = assert(db:exec "SELECT {now} AS now")[1]
    t.ok(math.abs(row.now - now) < 5000)
    t.ok(math.abs(now / 1000 - require("moongate.time").now()) < 5)
  end)

  test("keys that count up", function(db)
    assert(db:exec "CREATE TABLE counted (id {serial}, name text)")
    local ADD = "INSERT INTO counted (name) VALUES ('r') RETURNING id"
    local a, b = assert(db:exec(ADD))[1].id, assert(db:exec(ADD))[1].id
    t.eq(b, a + 1)
    assert(db:exec "DROP TABLE counted")
  end)

  test("mistakes are told", function(db)
    t.raises(function() db:exec("SELECT $1", {}) end, "parameter $1 is a table")
    t.raises(function() db:exec("SELECT $1", "a\0b") end, "contains a NUL")
    t.raises(function() db:exec("SELECT $1", 0 / 0) end, "not a finite number")
    t.raises(function() db:exec("SELECT 1", 1) end, "1 values for 0 parameters")
    t.raises(function() db:batch { { "SELECT 1", 1 } } end, "1 values for 0 parameters")
    t.raises(function() db:batch { "SELECT 1" } end, "a list of {sql, ...}")
    t.eq(select(2, db:exec "SELEKT").code, "bug")
    t.eq(select(2, db:exec "SELECT 1; SELECT 2").code, "bug")
    t.eq(select(2, db:batch { { PUT, "a", "1" }, { "SELECT nothing FROM nowhere" } }).code, "bug")
    t.eq(cell(db, "a"), nil)
  end)

  test("what a cancelled task has asked for happens all the same", function(db)
    local one = task.spawn(function() return db:exec(PUT, "a", "1") end)
    task.sleep(0)
    one:cancel()
    one:join()
    t.eq(cell(db, "a"), "1")
  end)

  test("one that waits for a transaction and is cancelled gives its place up", function(db)
    local first = task.spawn(function()
      return db:transaction(function(tx)
        for i = 1, 3 do assert(tx:exec(PUT, "k" .. i, "1")) end
        return true
      end)
    end)
    local second = task.spawn(function()
      return db:transaction(function(tx) return tx:exec(PUT, "never", "1") end)
    end)
    task.sleep(0)
    second:cancel()
    assert(first:join())
    t.eq(cell(db, "never"), nil)
    t.eq(cell(db, "k3"), "1")
  end)

  t.test(shown .. ": closing ends a transaction, and lets finish what was asked", function()
    local db = assert(store.open(url))
    assert(db:exec "DELETE FROM cells")
    local began = task.semaphore(1)
    began:acquire()
    local tx = task.spawn(function()
      return db:transaction(function(tx)
        assert(tx:exec(PUT, "rolled back", "1"))
        began:release()
        task.sleep(0.05)
        return tx:exec(PUT, "rolled back, too", "1")
      end)
    end)
    began:acquire()
    local write = task.spawn(function() return db:exec(PUT, "asked before", "1") end)
    task.sleep(0)
    db:close()
    t.ok(write:join())
    t.fails("closed", tx:join())
    local again <close> = assert(store.open(url))
    if shown ~= "memory" then
      t.eq(assert(again:exec "SELECT key FROM cells"), { { key = "asked before" }, changes = 0 })
    end
  end)

  t.test(shown .. ": one that nobody closes", function()
    for _ = 1, 3 do
      local db = assert(store.open(url))
      assert(db:exec "SELECT 1 AS one")
    end
    collectgarbage()
    collectgarbage()
    while host.stats().works > 0 do task.sleep(0.001) end
  end)

  t.test(shown .. ": closed", function()
    local db = assert(store.open(url))
    db:close()
    db:close()
    t.raises(function() db:exec "SELECT 1" end, "a closed store")
  end)
end

t.test("a form that does not exist", function()
  t.eq(select(2, store.open "mysql://x").code, "invalid")
end)

t.test("the session's store", function()
  local a, b = table.unpack(task.all { store.session, store.session })
  t.eq(a.kind, given and "postgres" or "sqlite")
  t.eq(a.url, b.url)
  a:close()
  assert(b:exec "SELECT 1 AS one")
end)
