-- virtual clock. Webhooks of a run that is cut off at any batch of its journal and taken up again: each event is told,
-- under one id, of what is so.
local httpd = require "moongate.httpd"
local fixture = require "run_fixture"
local messages = require "moongate.queue.kinds.message"
local json = require "moongate.json"
local t = require "moongate.test"

local function receiver(answer)
  local got = {}
  local server = assert(httpd.serve { handler = function(req)
    local body = assert(json.decode(req.body))
    got[#got + 1] = { id = req.headers["webhook-id"], event = body.type, data = body.data }
    return answer and answer(#got) or { status = 204 }
  end })
  return server, got
end

-- What the world holds, and a run that changes it thrice.
local function job(world, told)
  return fixture.define(function(run)
    local first = run:step("first", function()
      world.first = (world.first or 0) + 1
      return { n = 1 }
    end, {
      webhook = function(result) return "first_done", { n = result.n } end,
      told = function(notes) told.first = notes end,
    })
    run:step("second", function()
      told.second = run:webhook("second_done", { n = first.n + 1 })
      return {}
    end, { idempotent = true })
    told.third = run:webhook("third_done", { n = 3 })
    return { n = first.n }
  end)
end

local function ids_by_event(got)
  local ids, counts = {}, {}
  for _, message in ipairs(got) do
    ids[message.event] = ids[message.event] or {}
    ids[message.event][message.id] = true
    counts[message.event] = (counts[message.event] or 0) + 1
  end
  return ids, counts
end

local function all(db)
  local list = messages.list(db, messages.STATES, 1000)
  table.sort(list, function(a, b) return a.seq < b.seq end)
  return list
end

local function count(set)
  local n = 0
  for _ in pairs(set or {}) do n = n + 1 end
  return n
end

t.test("all of a run's ways to tell, undisturbed", function()
  local server, got = receiver()
  local db, told = fixture.store(), {}
  local outcome, err = fixture.live(db, job({}, told), {
    session = { project = { webhooks = { hook = { url = server.url } } } },
  })
  server:stop()
  t.ok(outcome, tostring(err))
  t.eq(#got, 3)
  for _, name in ipairs { "first", "second", "third" } do
    t.eq({ #told[name], told[name][1].delivered, told[name][1].status }, { 1, true, 204 }, name)
  end
  local steps = {}
  for i, row in ipairs(all(db)) do
    steps[i] = row.step .. " " .. row.state
  end
  t.eq(table.concat(steps, ", "), "step first done, step second done, webhook third_done done")
  db.close()
end)

t.test("cut off at each batch, before it and after it: each event under one id", function()
  for n = 2, 20 do -- the first begins the run
    for _, when in ipairs { "before", "after" } do
      local server, got = receiver()
      local db, told, world = fixture.store(), {}, {}
      local opts = { session = { project = { webhooks = { hook = { url = server.url } } } } }
      db.crash(n, when)
      local _, err, j = fixture.live(db, job(world, told), opts)
      local crashed = err ~= nil
      db.crash(nil)
      assert(db:exec "UPDATE queue_items SET lease_until = 1 WHERE state = 'running'") -- its holder is gone
      local outcome = true
      if crashed then
        opts.id = j.id
        outcome, err = fixture.live(db, job(world, told), opts)
      end
      server:stop()
      local where = ("batch %d, %s: "):format(n, when)
      t.ok(outcome, where .. tostring(err))
      local ids, counts = ids_by_event(got)
      for _, event in ipairs { "first_done", "second_done", "third_done" } do
        t.eq(count(ids[event]), 1, where .. event)
        t.ok(counts[event] <= 2, where .. event)
      end
      t.eq(assert(db:exec "SELECT count(*) AS n FROM queue_items WHERE state = 'done'")[1].n, 3, where)
      t.eq(told.first[1].delivered, true, where .. "what became of the first is known behind it, too")
      db.close()
      if not crashed then return end
    end
  end
  error "the run never came to its end"
end)

t.test("a step that fails announces nothing; what it had to say is said when it is done", function()
  local server, got = receiver()
  local db, fails = fixture.store(), true
  local definition = fixture.define(function(run)
    run:step("s", function()
      run:webhook("said_in_it", {})
      if fails then error(require("moongate.error").new { code = "http", status = 500, message = "no" }, 0) end
      return {}
    end, { webhook = function() return "done", {} end })
  end)
  local opts = { session = { project = { webhooks = { hook = { url = server.url } } } } }
  local _, err, j = fixture.live(db, definition, opts)
  t.eq(err.status, 500)
  t.eq(#got, 0)
  t.eq(assert(db:exec "SELECT count(*) AS n FROM queue_items")[1].n, 0)
  fails, opts.id = false, j.id
  t.ok(fixture.live(db, definition, opts))
  server:stop()
  t.eq(#got, 2)
  db.close()
end)

t.test("what is pending when a run is taken up is tried again, and told of", function()
  local broken = true
  local server, got = receiver(function() return { status = broken and 400 or 200 } end)
  local db, told = fixture.store(), {}
  local ends = true
  local definition = fixture.define(function(run)
    run:step("s", function() return {} end, {
      webhook = function() return "done", {} end, told = function(notes) told[#told + 1] = notes[1] end,
    })
    if ends then error(require("moongate.error").new { code = "http", status = 500, message = "no" }, 0) end
    return {}
  end)
  local opts = { session = { project = { webhooks = { hook = { url = server.url } } } } }
  local _, _, j = fixture.live(db, definition, opts)
  broken, ends, opts.id = false, false, j.id
  local outcome = t.ok(fixture.live(db, definition, opts))
  server:stop()
  t.eq({ told[1].delivered, told[1].kept, told[2].delivered }, { false, true, true })
  t.eq(got[1].id, got[2].id)
  t.eq(outcome.data.undelivered_webhooks, nil)
  db.close()
end)
