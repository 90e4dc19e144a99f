-- What processes tell each other through the store: breakers, rate limits, resources. Runs on both forms.
local fake = require "fake_gateway"
local host = require "moongate.host"
local http = require "moongate.http"
local httpd = require "moongate.httpd"
local json = require "moongate.json"
local shared = require "moongate.shared"
local stores = require "stores"
local t = require "moongate.test"
local task = require "moongate.task"
local time = require "moongate.time"

-- A row as another process writes it.
local function put(db, kind, key, value, age_ms)
  assert(db:exec([[INSERT INTO cells (kind, key, value_json, updated_at, expires_at) VALUES ($1, $2, $3, {now} - $4,
    {now} + 60000) ON CONFLICT (kind, key) DO UPDATE SET value_json = excluded.value_json, updated_at = {now}]],
    kind, key, json.encode(value), age_ms or 0))
end

local function row_of(db, kind, key)
  local row = assert(db:exec("SELECT value_json FROM cells WHERE kind = $1 AND key = $2", kind, key))[1]
  return row and json.decode(row.value_json)
end

-- A server whose every answer has this status. -> url, close
local function server(status, headers)
  local s = assert(httpd.serve { handler = function() return { status = status(), headers = headers } end })
  return s.url, s
end

stores.each(function(kind, open)
  local function test(name, fn)
    t.test(("%s: %s"):format(kind, name), function()
      local db <close> = open()
      assert(db:exec "DELETE FROM cells")
      fn(db)
    end)
  end

  test("a breaker that another process has opened is open here, for as long as it said", function(db)
    put(db, "breaker", "https://down.test:1 index", { state = "open", trips = 2, in_ms = 5000 }, 1000)
    shared.open(db)
    local b = http.breaker("https://down.test:1", "index")
    t.eq(b.state, "open")
    t.ok(b.retry_in > 3 and b.retry_in <= 4.1, b.retry_in)
    t.eq(http.breaker("https://down.test:1", "model").state, "closed")
  end)

  test("one whose time has passed lets one call look", function(db)
    put(db, "breaker", "https://late.test:1 index", { state = "open", trips = 1, in_ms = 500 }, 20000)
    shared.open(db)
    t.eq(http.breaker("https://late.test:1", "index").state, "half_open")
  end)

  test("nonsense in the store is passed over", function(db)
    put(db, "breaker", "no url", { state = "open", trips = 1, in_ms = 5000 })
    put(db, "breaker", "https://x.test:1", { state = "open", trips = 1, in_ms = 5000 })
    put(db, "breaker", "https://y.test:1 f", { state = "ajar", trips = "many", in_ms = {} })
    put(db, "breaker", "https://z.test:1 f", { state = "open", trips = -7, in_ms = 1 << 62 })
    put(db, "pacer", "https://w.test:1", { left = "none", in_ms = 1 << 62 })
    put(db, "pacer", "https://w.test:2", 7)
    assert(db:exec("UPDATE cells SET value_json = '{' WHERE key = 'https://w.test:2'"))
    shared.open(db)
    t.eq(http.breaker("https://y.test:1", "f").state, "closed")
    local z = http.breaker("https://z.test:1", "f")
    t.ok(z.state ~= "open" or z.retry_in <= 60, z.retry_in)
  end)

  test("a breaker's changes are written, and those of others seen while it lives", function(db)
    local status = 503
    local url, s = server(function() return status end)
    local client = assert(http.client { base_url = url, retry = false })
    local mine = shared.open(db)
    client:get("/", { family = "f" })
    assert(mine:save())
    t.eq(row_of(db, "breaker", url .. " f"), nil) -- closed, and was never anything else
    for _ = 1, 10 do client:get("/", { family = "f" }) end
    t.eq(http.breaker(url, "f").state, "open")
    assert(mine:save())
    local row = row_of(db, "breaker", url .. " f")
    t.eq(row.state, "open")
    t.ok(row.in_ms > 0 and row.in_ms <= 5000, row.in_ms)
    status = 200
    put(db, "breaker", url .. " f", { state = "closed", trips = 0, in_ms = 0 }) -- another one has got an answer
    assert(mine:look())
    t.eq(http.breaker(url, "f").state, "half_open")
    assert(client:get("/", { family = "f" }))
    assert(mine:save())
    t.eq(row_of(db, "breaker", url .. " f").state, "closed")
    s:stop()
  end)

  test("what is left of a rate limit is told, and begun with", function(db)
    local url, s = server(function() return 200 end,
      { ["inin-ratelimit-count"] = "290", ["inin-ratelimit-allowed"] = "300", ["inin-ratelimit-reset"] = "40" })
    local client = assert(http.client { base_url = url })
    local mine = shared.open(db)
    assert(client:get "/")
    assert(mine:save())
    local row = row_of(db, "pacer", url)
    t.eq({ row.left, row.allowed }, { 10, 300 })
    t.ok(row.in_ms > 38000 and row.in_ms <= 40000, row.in_ms)
    local n = host.shared_changes()
    t.eq(math.type(n), "integer")
    s:stop()
  end)

  test("a run that follows another at once has no new burst", function(db)
    local url, s = server(function() return 200 end)
    local mine = shared.open(db)
    put(db, "limiter", url, { in_ms = 60000 })
    assert(mine:look())
    local client = assert(http.client { base_url = url, rate = { per_second = 20, burst = 20 } })
    local before = time.monotonic()
    for _ = 1, 3 do assert(client:get "/") end
    t.ok(time.monotonic() - before > 0.09, "the burst was there again")
    assert(mine:save())
    local row = row_of(db, "limiter", url)
    t.ok(row.in_ms > 500 and row.in_ms < 1200, row.in_ms)
    s:stop()
  end)

  test("what was read last is known to the next process, and what is gone is not", function(db)
    local one, two = shared.open(db), shared.open(db)
    local first = one:cache "https://gw.test"
    local client = fake.client()
    client:hold("/notes/7", { text = "hi" })
    local gw = fake.open(client, { cache = first })
    gw:get_path("/notes/{id}", { params = { id = 7 } })
    assert(one:save())
    local second = two:cache "https://gw.test"
    local entry = second:get "/notes/7"
    t.eq({ entry.text, entry.etag }, { '{"text":"hi"}', '"1"' })
    t.eq(second:get "/notes/8", nil)
    t.eq(shared.open(db):cache("https://other.test"):get "/notes/7", nil)
    second:put("/notes/7", nil)
    t.eq(second:get "/notes/7", nil)
    assert(two:save())
    t.eq(shared.open(db):cache("https://gw.test"):get "/notes/7", nil)
    local before = assert(db:exec("SELECT count(*) AS n FROM cells"))[1].n
    assert(two:save())
    t.eq(assert(db:exec("SELECT count(*) AS n FROM cells"))[1].n, before)
  end)

  test("a resource that is too large is not kept", function(db)
    local all = shared.open(db)
    all:cache("https://gw.test"):put("/big", { text = ("x"):rep((1 << 20) + 1), at = 0 })
    assert(all:save())
    t.eq(row_of(db, "resource", "https://gw.test /big"), nil)
  end)

  test("a store that fails is told of, and nothing else fails", function()
    local broken = { exec = function() return nil, { message = "gone" } end, batch = function() return nil, {} end }
    local all = shared.open(broken)
    t.eq(all:cache("https://gw.test"):get "/x", nil)
    t.eq(task.current():status(), "running")
  end)
end)
