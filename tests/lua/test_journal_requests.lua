-- A run's requests that must not be sent twice: a step that failed after one went out is not simply done again, and a
-- process that lost its run while it waited for the next attempt sends no more.
local errors = require "moongate.error"
local fixture = require "run_fixture"
local http = require "moongate.http"
local httpd = require "moongate.httpd"
local lease = require "moongate.lease"
local t = require "moongate.test"
local task = require "moongate.task"

-- A server that counts what took effect, and answers with the next of the statuses.
local function server(statuses)
  local seen = { effects = 0, requests = 0 }
  local s = assert(httpd.serve { handler = function(request)
    seen.requests = seen.requests + 1
    local status = statuses[math.min(seen.requests, #statuses)]
    if request.method == "POST" and status ~= 429 then seen.effects = seen.effects + 1 end
    return { status = status, headers = status == 429 and { ["Retry-After"] = "1" } or nil, body = "{}" }
  end })
  seen.url = s.url
  return s, seen
end

local function posting(url, opts)
  opts = opts or {}
  return fixture.define(function(run)
    run:step("charge", function()
      assert(http.post(url .. "/charge", { json = { amount = 7 }, idempotent = opts.request }))
      if opts.raises then error("the answer was not understood", 0) end
      return { charged = true }
    end, { idempotent = opts.step })
    return {}
  end)
end

-- Two lives of one run -> requests after each, the second's error
local function two_lives(statuses, opts)
  local s <close>, seen = server(statuses)
  local db = fixture.store()
  fixture.live(db, posting(seen.url, opts), { id = "r" })
  local first = seen.requests
  local outcome, err = fixture.live(db, posting(seen.url, opts), { id = "r" })
  db:close()
  return first, seen.requests, outcome, err, s
end

t.test("whatever the answer was, a request that may have had an effect is not sent again on resume", function()
  for _, status in ipairs { 500, 408, 406, 418, 499, 507, 520, 599, 302 } do
    local opts = status < 400 and { raises = true } or nil
    local first, both, _, err = two_lives({ status, 201 }, opts)
    t.eq({ first, both }, { 1, 1 }, tostring(status))
    t.eq(err.code, "unknown_outcome", tostring(status))
    t.ok(err.hint:find("--redo 'charge'", 1, true) and err.hint:find("--skip 'charge'", 1, true), err.hint)
  end
end)

t.test("nor one whose step raised afterwards", function()
  local first, both, _, err = two_lives({ 200 }, { raises = true })
  t.eq({ first, both, err.code }, { 1, 1, "unknown_outcome" })
end)

t.test("one that the server refused is sent again", function()
  for _, status in ipairs { 400, 401, 403, 404, 409, 413, 422, 501 } do
    local first, both, outcome = two_lives { status, 201 }
    t.eq({ first, both }, { 1, 2 }, tostring(status))
    t.ok(outcome, tostring(status))
  end
end)

t.test("so is one that may be sent twice, or whose step may be done twice", function()
  for _, opts in ipairs { { request = true, raises = true }, { step = true, raises = true } } do
    local first, both, _, err = two_lives({ 200 }, opts)
    t.eq({ first, both, err.code }, { 1, 2, "script" })
  end
end)

t.test("of two requests at once in a step, each counts", function()
  local s <close>, seen = server { 500, 422, 422 }
  local db = fixture.store()
  local definition = fixture.define(function(run)
    run:step("both", function()
      local list = { task.spawn(http.post, seen.url, { body = "a" }), task.spawn(http.post, seen.url, { body = "b" }) }
      for _, one in ipairs(list) do one:join() end
      error("neither was taken", 0)
    end)
  end)
  fixture.live(db, definition, { id = "r" })
  local _, err = fixture.live(db, definition, { id = "r" })
  t.eq({ seen.requests, err.code }, { 2, "unknown_outcome" })
  db:close()
  s:close()
end)

t.test("a step whose failure the script had gone on behind fails as it did, and is not asked about", function()
  local s <close>, seen = server { 500 }
  local db = fixture.store()
  local broken = true
  local definition = fixture.define(function(run)
    local ok, err = pcall(run.step, run, "notify", function() assert(http.post(seen.url, { body = "x" })) end)
    t.ok(not ok and err.status == 500)
    run:step("after", function() if broken then error("not yet", 0) end end)
    return {}
  end)
  fixture.live(db, definition, { id = "r" })
  broken = false
  t.ok(fixture.live(db, definition, { id = "r" }))
  t.eq(seen.requests, 1)
  db:close()
  s:close()
end)

t.test("a process that lost its run in a back-off sends no more", function()
  for _, keyed in ipairs { false, true } do
    local s <close>, seen = server { 429, 201 }
    local db = fixture.store()
    local definition = fixture.define(function(run)
      assert(lease.acquire(db, "run r"))
      run:step("charge", function()
        local waiting = task.spawn(http.post, seen.url, { json = { n = 1 }, idempotency_key = keyed and "k-9" or nil })
        while seen.requests == 0 do task.sleep(0.01) end
        assert(db:exec("UPDATE leases SET holder = 'another', fence = fence + 1"))
        local response, err = waiting:join()
        t.eq(response, nil)
        error(err, 0)
      end)
    end)
    local _, err = fixture.live(db, definition, { id = "r" })
    t.ok(errors.is(err) and err.lease_lost, tostring(err))
    t.eq({ seen.effects, err.outcome, err.attempts }, { 0, "not_sent", 1 })
    lease.of(db):close()
    db:close()
    s:close()
  end
end)

t.test("a sleep and a timeout last no longer than they were set to, wherever the clock is on resume", function()
  for _, set_back in ipairs { 3600, 10 * 365 * 86400 } do
    local db = fixture.store()
    local offset = 0
    local now = db.now
    function db.now() return now() + offset * 1000 end
    local definition = fixture.define(function(run)
      run:sleep(0.2)
      run:timeout(0.2, function() return 1 end)
      return {}
    end)
    db.crash(2) -- the sleep was begun, and its end is not kept
    fixture.live(db, definition, { id = "r" })
    db.crash(nil)
    offset = -set_back
    local started = require("moongate.time").monotonic()
    t.ok(fixture.live(db, definition, { id = "r" }))
    t.ok(require("moongate.time").monotonic() - started < 5, "slept for too long")
    db:close()
  end
end)

t.test("a life that fails before it comes to the request does not make it new", function()
  local s <close>, seen = server { 500 }
  local db = fixture.store()
  local broken = false
  local definition = fixture.define(function(run)
    run:step("charge", function()
      if broken then error("no file", 0) end
      assert(http.post(seen.url, { body = "x" }))
    end)
  end)
  fixture.live(db, definition, { id = "r" })
  broken = true
  fixture.live(db, definition, { id = "r" })
  broken = false
  local _, err = fixture.live(db, definition, { id = "r" })
  t.eq({ seen.requests, err.code }, { 1, "unknown_outcome" })
  db:close()
  s:close()
end)
