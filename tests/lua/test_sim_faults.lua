-- The rules of the simulator's faults: their text, their files, when they strike. And what they rest on: rng, router.
local faults = require "moongate.sim.faults"
local rng = require "moongate.sim.rng"
local router = require "moongate.sim.router"
local t = require "moongate.test"

local function rule(spec)
  local r, err = faults.parse(spec)
  if not r then error(err.message, 2) end
  return r
end

t.test("a flag's text becomes a rule", function()
  t.eq(rule "status=503,rate=0.05,path=/indexes/*",
    { kind = "status", status = 503, rate = 0.05, path = "/indexes/*" })
  t.eq(rule " status = 429 , retry_after=2 ", { kind = "status", status = 429, retry_after = 2 })
  t.eq(rule "latency=200", { kind = "latency", ms = 200 })
  t.eq(rule "late=1,nth=2,method=PUT", { kind = "late", ms = 1, nth = 2, method = "PUT" })
  t.eq(rule "close_after,times=1", { kind = "close_after", times = 1 })
  t.eq(rule "drip,bytes=1,ms=5", { kind = "drip", bytes = 1, ms = 5 })
  t.eq(rule "kind=half", { kind = "half" })
  t.eq(rule { status = 500.0 }, { kind = "status", status = 500 })
end)

t.test("what is wrong with a rule is said, all of it", function()
  for spec, words in pairs {
    ["status=503,rat=0.1"] = "unknown key 'rat'",
    ["status=99"] = "status: an integer from 200 to 599 expected, not '99'",
    ["status=x"] = "status: an integer",
    ["rate=2,status=500"] = "rate: a number from 0 to 1",
    ["nth=0,half"] = "nth: an integer from 1",
    ["nth=1.5,half"] = "nth: an integer from 1",
    ["slow"] = "'slow' is neither a kind",
    ["half,drip"] = "two kinds",
    ["half,nth=1,nth=2"] = "'nth' comes twice",
    ["rate=0.5"] = "a kind is missing",
    ["kind=status"] = "status= is missing",
    ["kind=latency"] = "ms= is missing",
    ["kind=odd"] = "kind: status, latency",
    [""] = "a kind is missing",
    ["drip,bytes=0"] = "bytes: an integer from 1",
    ["status=503,body=xml"] = "body: json, html or empty",
  } do
    local r, err = faults.parse(spec)
    t.ok(r == nil and err.code == "invalid", spec)
    t.ok(err.message:find(words, 1, true), spec .. " says: " .. err.message)
  end
  local _, err = faults.parse "status=99,rat=1,rate=7"
  t.ok(err.message:find "rat" and err.message:find "rate:" and err.message:find "status:", err.message)
  t.fails("invalid", faults.parse(7))
end)

t.test("every kind that the help names can be parsed", function()
  for kind in ("status=503 latency=1 late=1 close_before close_after half drip expire_tokens"):gmatch "%S+" do
    t.ok(faults.help:find(kind:match "^[%w_]+", 1, true), kind)
    rule(kind)
  end
end)

t.test("files hold a rule, a list, or a list with a name", function()
  t.eq(faults.parse_file('{"status":503}', "f"), { { kind = "status", status = 503 } })
  t.eq(faults.parse_file('[{"status":503},"half"]', "f"), { { kind = "status", status = 503 }, { kind = "half" } })
  t.eq(faults.parse_file('{"rules":[{"latency":5}]}', "f"), { { kind = "latency", ms = 5 } })
  t.eq(faults.parse_file("[]", "f"), {})
  t.fails("parse", faults.parse_file("{", "f"))
  t.ok(t.fails("invalid", faults.parse_file('[{"status":503},{"kind":"x"}]', "f")).message:find "f: rule 2: ")
  t.fails("invalid", faults.parse_file("3", "f"))
end)

local function draws(list, n, req)
  local text = {}
  for i = 1, n do text[i] = list:draw(req or { method = "GET", path = "/a/b" }) and "x" or "." end
  return table.concat(text)
end

local function with(spec, seed)
  local list = faults.new(seed or 1)
  t.ok(list:add(spec))
  return list
end

t.test("rules strike as often as they say", function()
  t.eq(draws(with "half", 4), "xxxx")
  t.eq(draws(with "half,nth=3", 5), "..x..")
  t.eq(draws(with "half,every=2", 6), ".x.x.x")
  t.eq(draws(with "half,times=2", 4), "xx..")
  t.eq(draws(with "half,every=2,times=1", 6), ".x....")
  t.eq(draws(with "half,rate=0", 20), ("."):rep(20))
  t.eq(draws(with "half,rate=1", 20), ("x"):rep(20))
  local some = draws(with "half,rate=0.3", 1000)
  local _, count = some:gsub("x", "")
  t.ok(count > 230 and count < 370, "0.3 of 1000 is " .. count)
  t.eq(draws(with "half,rate=0.3", 1000), some, "the same seed")
  t.ok(draws(with("half,rate=0.3", 2), 1000) ~= some, "another seed")
end)

t.test("rules match methods and the ends of paths", function()
  local function hits(spec, method, path)
    return with(spec):draw { method = method, path = path } ~= nil
  end
  t.ok(hits("half,path=/indexes/*", "GET", "/api/v2/indexes/a"))
  t.ok(not hits("half,path=/indexes/*", "GET", "/api/v2/indexes"))
  t.ok(not hits("half,path=/indexes", "GET", "/api/v2/indexes/a"))
  t.ok(hits("half,path=/api/*/a", "GET", "/api/v2/indexes/a"))
  t.ok(hits("half,path=/a.b-c%2F(d)", "GET", "/x/a.b-c%2F(d)"))
  t.ok(not hits("half,path=/a.b", "GET", "/aXb"))
  t.ok(hits("half,method=put", "PUT", "/") and not hits("half,method=PUT", "GET", "/"))
end)

t.test("several rules add up; the first that spoils the answer counts", function()
  local list = faults.new(1)
  for _, spec in ipairs { "latency=100", "latency=50", "late=10", "status=503,nth=2", "half", "expire_tokens" } do
    t.ok(list:add(spec))
  end
  local req = { method = "GET", path = "/" }
  local fate = list:draw(req)
  t.eq(fate.latency, 150)
  t.eq(fate.late, 10)
  t.eq(fate.rule.kind, "half")
  t.ok(fate.expire)
  t.eq(list:draw(req).rule.status, 503)
  t.eq(list:clear(4), 1)
  t.eq(list:draw(req).rule.kind, "half")
  t.eq(#list:report(), 5)
  t.eq(list:report()[1].fired, 3)
  list:restart()
  t.eq(list:report()[1].fired, 0)
  t.eq(list:clear(), 5)
  t.eq(list:draw(req), nil)
end)

t.test("draws are even, and streams are apart", function()
  local r, sum = rng.new(7, "x"), 0
  for _ = 1, 10000 do
    local v = r:double()
    t.ok(v >= 0 and v < 1)
    sum = sum + v
  end
  t.ok(math.abs(sum / 10000 - 0.5) < 0.02)
  t.eq(rng.new(7, "x"):u64(), rng.new(7, "x"):u64())
  t.ok(rng.new(7, "x"):u64() ~= rng.new(7, "y"):u64())
  t.ok(rng.new(7, "x"):uuid():match "^%x%x%x%x%x%x%x%x%-%x%x%x%x%-4%x%x%x%-[89ab]%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$")
end)

t.test("templates match whole segments, decoded", function()
  local r = router.new()
  local list, item = { "GET", "/v/{store}/indexes" }, { "PUT", "/v/{store}/indexes/{id}" }
  r:add(list)
  r:add(item)
  local route, params = r:find("PUT", "/v/a%2Fb/indexes/c%20d")
  t.ok(route == item)
  t.eq(params, { store = "a/b", id = "c d" })
  t.ok(r:find("GET", "/v/a/indexes") == list)
  t.ok(r:find("HEAD", "/v/a/indexes") == list)
  local strangers = { "/v/a/indexes/", "/v//indexes", "/v/a/index", "/v/a/indexes/b/c", "/v/%zz/indexes", "/", "" }
  for _, path in ipairs(strangers) do
    local found, methods = r:find("GET", path)
    t.ok(not found and #methods == 0, path)
  end
  local found, methods, template = r:find("DELETE", "/v/a/indexes/b")
  t.ok(not found)
  t.eq(methods, { "PUT" })
  t.eq(template, item[2])
end)
