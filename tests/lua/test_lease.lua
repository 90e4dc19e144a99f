-- Leases, as two processes on one store see them. Runs on both forms (tests/e2e/postgres.t).
local host = require "moongate.host"
local lease = require "moongate.lease"
local rows = require "moongate.lease.rows"
local store = require "moongate.store"
local stores = require "stores"
local t = require "moongate.test"
local task = require "moongate.task"

local me = host.process()

-- A process of another machine, or one that is gone from this one.
local function other(pid) return { host = "far", boot = "other", space = "x", pid = pid or 7, started = 1 } end
local function dead() return { host = me.host, boot = me.boot, space = me.space, pid = me.pid, started = 1 } end

stores.each(function(kind, open)
  local function test(name, fn)
    t.test(("%s: %s"):format(kind, name), function()
      local db <close> = open()
      assert(db:exec "DELETE FROM leases")
      local mine, theirs = lease.open(db, { ttl = 3 }), lease.open(db, { ttl = 3, process = other() })
      fn(mine, theirs, db)
      mine:close()
      theirs:close()
    end)
  end

  test("one holds it, the other is told who, since when and what to do", function(mine, theirs)
    local a = mine:scope { run_id = "r1", info = { command = "deploy-index" } }
    local b = theirs:scope {}
    assert(a:take "resource /x")
    local err = t.fails("conflict", b:take "resource /x")
    t.ok(err.message:find("resource /x is locked by deploy-index, pid " .. me.pid .. " on ", 1, true), err.message)
    t.ok(err.message:find("run r1, since 20", 1, true), err.message)
    t.ok(err.hint:find("--wait", 1, true))
    t.eq(err.outcome, "not_sent")
    assert(b:take "resource /y")
    a:release()
    assert(b:take "resource /x")
    b:release()
  end)

  test("of several it takes all or none", function(mine, theirs, db)
    local a, b = mine:scope {}, theirs:scope {}
    assert(a:take { "b", "d" })
    local err = t.fails("conflict", b:take { "a", "b", "c", "d" })
    t.eq(#err.details, 2)
    t.eq(#rows.list(db), 2)
    a:release()
    assert(b:take { "a", "b", "c", "d", "a" })
    t.eq(#rows.list(db), 4)
    b:release()
    t.eq(#rows.list(db), 0)
  end)

  test("the fence grows with every taking", function(mine, theirs, db)
    for n = 1, 3 do
      local scope = (n % 2 == 1 and mine or theirs):scope {}
      assert(scope:take "x")
      t.eq(rows.read(db, { "x" }).x.fence, n)
      scope:release()
    end
    local run = mine:scope {}
    assert(run:take "run 1")
    run:release()
    t.eq(rows.read(db, { "run 1" }), {})
  end)

  test("tasks of one process share what it holds", function(mine, _, db)
    local a, b = mine:scope {}, mine:scope {}
    assert(a:take { "x", "y" })
    assert(b:take { "x", "z" })
    a:release()
    t.ok(b:check "x")
    t.eq(#rows.list(db), 2)
    b:release()
    t.eq(#rows.list(db), 0)
    local scopes = {}
    for i = 1, 8 do
      scopes[i] = function()
        local s = mine:scope {}
        assert(s:take { "x", "n" .. i })
        s:release()
      end
    end
    assert(task.all(scopes))
    t.eq(#rows.list(db), 0)
  end)

  test("who waits gets it when it is given back", function(mine, theirs)
    local a, said = mine:scope {}, {}
    local b = theirs:scope { wait = 20, note = function(line) said[#said + 1] = line end }
    assert(a:take "x")
    local waiting = task.spawn(function() return b:take "x" end)
    task.sleep(0.15)
    a:release()
    t.eq(waiting:join(), true)
    t.eq(#said, 1)
    t.ok(said[1]:find "^waiting: x is locked by ")
    b:release()
  end)

  test("who waits gives up in time", function(mine, theirs)
    local a, b = mine:scope {}, theirs:scope { wait = 0.2 }
    assert(a:take "x")
    t.fails("conflict", b:take "x")
    a:release()
  end)

  test("a holder that is gone from this machine is taken over from at once", function(mine, _, db)
    local gone = lease.open(db, { process = dead() })
    assert(gone:scope {}:take { "x", "y" })
    gone.renewer:cancel()
    local a = mine:scope {}
    assert(a:take { "x", "y", "z" })
    t.eq(rows.read(db, { "x" }).x.fence, 2)
    a:release()
  end)

  test("one of another machine is taken over from when it has run out", function(mine, theirs, db)
    local b = theirs:scope {}
    assert(b:take "x")
    theirs.renewer:cancel()
    local a = mine:scope {}
    t.fails("conflict", a:take "x")
    assert(db:exec "UPDATE leases SET expires_at = expires_at - 4000")
    assert(a:take "x")
    local err = t.fails("conflict", b:check "x")
    t.ok(err.lease_lost)
    t.ok(err.message:find("the lease on x was lost: pid " .. me.pid, 1, true), err.message)
    a:release()
  end)

  test("a lease is renewed while it is held", function(_, _, db)
    local quick = lease.open(db, { ttl = 0.3 })
    local a = quick:scope {}
    assert(a:take "x")
    local first = rows.read(db, { "x" }).x.expires_at
    task.sleep(0.5)
    t.ok(rows.read(db, { "x" }).x.expires_at >= first + 200)
    t.ok(a:still "x")
    a:release()
    quick:close()
  end)

  test("one that ran out while nobody took it goes on", function(mine, _, db)
    local a = mine:scope {}
    assert(a:take "x")
    assert(db:exec "UPDATE leases SET expires_at = expires_at - 60000")
    t.ok(a:check "x")
    t.ok(rows.read(db, { "x" }).x.expires_at > rows.read(db, { "x" }).x.now)
    a:release()
  end)

  test("a broken lease is known before the next write, and so is a run's", function(mine, _, db)
    local a = mine:scope {}
    assert(a:take { "x", "run 1" })
    t.ok(a:check "x")
    t.eq(rows.break_one(db, rows.read(db, { "run 1" })["run 1"]), true)
    local err = t.fails("conflict", a:check "x")
    t.ok(err.message:find("the lease on run 1 was lost: it was broken", 1, true), err.message)
    t.fails("conflict", a:still "x")
    a:release()
    t.eq(#rows.list(db), 0)
  end)

  test("a broken lease is known without a write after the next renewal", function(_, _, db)
    local quick = lease.open(db, { ttl = 0.3 })
    local a = quick:scope {}
    assert(a:take "x")
    rows.break_one(db, rows.read(db, { "x" }).x)
    task.sleep(0.25)
    t.fails("conflict", a:still "x")
    a:release()
    quick:close()
  end)

  test("a scope that is closed with its task is given back", function(mine, _, db)
    local job = task.spawn(function()
      local a <close> = mine:scope {}
      assert(a:take "x")
      task.sleep(60)
    end)
    task.sleep(0.05)
    t.eq(#rows.list(db), 1)
    job:cancel()
    job:join()
    for _ = 1, 100 do
      if #rows.list(db) == 0 then break end
      task.yield()
    end
    t.eq(#rows.list(db), 0)
  end)

  test("closing gives back everything, and another process's stays", function(mine, theirs, db)
    assert(mine:scope {}:take { "x", "run 1" })
    assert(theirs:scope {}:take "y")
    mine:close()
    local left = rows.list(db)
    t.eq(#left, 1)
    t.eq(left[1].name, "y")
  end)

  test("what was left behind long ago is tidied away", function(mine, theirs, db)
    assert(theirs:scope {}:take { "run 1", "old", "new" })
    assert(db:exec "UPDATE leases SET expires_at = expires_at - 90000000 WHERE name <> 'new'")
    theirs.renewer:cancel()
    assert(mine:scope {}:take "mine")
    mine:close()
    local left = rows.list(db)
    t.eq({ #left, left[1].name }, { 1, "new" })
    t.eq(rows.read(db, { "run 1" }), {})
  end)

  test("a store that fails is not taken for a conflict", function(_, _, db)
    local broken = lease.open({ batch = function() return nil, select(2, store.open "mysql://x") end })
    t.fails("invalid", broken:scope({ wait = 5 }):take "x")
    t.eq(#rows.list(db), 0)
  end)
end)
