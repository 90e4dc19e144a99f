-- Metrics: what is counted, what it is called, and the forms it leaves in.
local json = require "moongate.json"
local metrics = require "moongate.metrics"
local t = require "moongate.test"

t.test("a counter goes up, by label values in the order of their names", function()
  local c = metrics.new():counter("moongate_tries_total", "Tries.", { "kind", "status" })
  c:add(1, "index", 200)
  c:add(2, "index", "200")
  c:with("index", 503):add()
  t.eq(c:value("index", 200), 3)
  t.eq(c:value("index", 503), 1)
  t.eq(c:value("index", 404), 0)
  t.raises(function() c:add(-1, "index", 200) end, "can't go down")
  t.raises(function() c:add(1, "index", 200, "more") end, "expected 2 label values, got 3")
  t.raises(function() c:observe(1) end, "observe")
end)

t.test("a gauge is set", function()
  local g = metrics.new():gauge("moongate_things", "Things.")
  t.eq(g:value(), 0)
  g:set(2.5)
  g:add(1)
  t.eq(g:value(), 3.5)
end)

t.test("the same name is the same metric; another type or other labels are a mistake", function()
  local r = metrics.new()
  local c = r:counter("moongate_tries_total", "Tries.", { "kind" })
  t.ok(rawequal(c, r:counter("moongate_tries_total", "Tries.", { "kind" })))
  t.raises(function() r:gauge("moongate_tries_total", "Tries.", { "kind" }) end, "already exists, as a counter")
  t.raises(function() r:counter("moongate_tries_total", "Tries.", { "kind", "x" }) end, "with the labels {kind}")
end)

t.test("names keep Prometheus' conventions", function()
  local r = metrics.new()
  t.raises(function() r:counter("moongate_tries", "x") end, "must end in _total")
  t.raises(function() r:counter("tries_total", "x") end, "expected moongate_")
  t.raises(function() r:counter("moongate_Tries_total", "x") end, "expected moongate_")
  t.raises(function() r:gauge("moongate_tries_total", "x") end, "can't end in _total")
  t.raises(function() r:histogram("moongate_wait_ms", "x") end, "must end in a unit")
  t.raises(function() r:counter("moongate_a_total", "x", { "le" }) end, "bad label name")
  t.raises(function() r:counter("moongate_a_total") end, "help is missing")
end)

t.test("count, sum, min and max are exact; percentiles are within 1 %", function()
  for _, power in ipairs { 1, 3, 8 } do
    local h = metrics.new():histogram("moongate_wait_seconds", "Wait.")
    local values, sum = {}, 0
    for i = 1, 20000 do
      values[i] = 1e-6 + math.random() ^ power * 100
      sum = sum + values[i]
      h:observe(values[i])
    end
    table.sort(values)
    local s = h:summary()
    t.eq({ s.count, s.sum, s.min, s.max, s.avg }, { 20000, sum, values[1], values[20000], sum / 20000 })
    for name, at in pairs { p50 = 10000, p95 = 19000, p99 = 19800 } do
      t.ok(math.abs(s[name] / values[at] - 1) <= 0.0100001, ("%s: %g for %g"):format(name, s[name], values[at]))
    end
  end
end)

t.test("a histogram takes what is odd: nothing, one value, 0, the very small and the very large", function()
  local h = metrics.new():histogram("moongate_wait_seconds", "Wait.", { "model" })
  t.eq(h:summary("a"), { count = 0, sum = 0 })
  h:observe(0.42, "one")
  t.eq(h:summary("one").p50, 0.42)
  t.eq(h:summary("one").p99, 0.42)
  for _, v in ipairs { 0, 1e-300, 1e300, math.huge } do h:observe(v, "odd") end
  t.eq(h:summary("odd").min, 0)
  t.eq(h:summary("odd").max, math.huge)
  t.raises(function() h:observe(0 / 0, "odd") end, "a number from 0 on")
  t.raises(function() h:observe(-1, "odd") end, "a number from 0 on")
end)

t.test("the buckets of Prometheus are exact, bounds included", function()
  local r = metrics.new()
  local h = r:histogram("moongate_wait_seconds", "Wait.", nil, { 0.1, 0.25, 1 })
  for _, v in ipairs { 0.0999, 0.1, 0.1000001, 0.25, 0.2500001, 1, 1.0000001, 7 } do h:observe(v) end
  local text = r:prometheus()
  for bound, count in pairs { ["0.1"] = 2, ["0.25"] = 4, ["1"] = 6, ["+Inf"] = 8 } do
    local line = ('moongate_wait_seconds_bucket{le="%s"} %d\n'):format(bound, count)
    t.ok(text:find(line, 1, true), text)
  end
end)

t.test("memory stays the same however many values come", function()
  local h = metrics.new():histogram("moongate_wait_seconds", "Wait.")
  local series, buckets = h:with(), 0
  for _ = 1, 200000 do series:observe(10 ^ (math.random() * 40 - 20)) end
  for _ in pairs(series.buckets) do buckets = buckets + 1 end
  t.ok(buckets <= 2800, buckets)
end)

t.test("beyond 1,000 label sets the rest counts together", function()
  local c = metrics.new():counter("moongate_tries_total", "Tries.", { "a", "b" })
  for i = 1, 1500 do c:add(1, i, "x") end
  c:add(1, 3, "x")
  t.eq(#c:series(), 1001)
  t.eq(c:value(3, "x"), 2)
  t.eq(c:value("(other)", "(other)"), 0) -- not a set that anybody can name
  local sum = 0
  for _, series in ipairs(c:series()) do sum = sum + series.value end
  t.eq(sum, 1501)
end)

t.test("text exposition: help, type, escapes, numbers", function()
  local r = metrics.new()
  r:counter("moongate_b_total", "What \\ is\ncounted.", { "path" }):add(1, 'a"b\\c\nd\xff')
  r:gauge("moongate_a", "A gauge."):set(0.1)
  r:gauge("moongate_c", "Another."):set(-math.huge)
  t.eq(r:prometheus(), table.concat({
    "# HELP moongate_a A gauge.", "# TYPE moongate_a gauge", "moongate_a 0.1",
    "# HELP moongate_b_total What \\\\ is\\ncounted.", "# TYPE moongate_b_total counter",
    'moongate_b_total{path="a\\"b\\\\c\\nd\\\\xff"} 1',
    "# HELP moongate_c Another.", "# TYPE moongate_c gauge", "moongate_c -Inf", "",
  }, "\n"))
  t.eq(metrics.new():prometheus(), "")
end)

t.test("as data, and as a table", function()
  local r = metrics.new()
  r:counter("moongate_tries_total", "Tries.", { "kind" }):add(3, "index")
  r:counter("moongate_none_total", "None.")
  r:histogram("moongate_wait_seconds", "Wait.", { "kind" }):observe(0.25, "index")
  local data = json.decode(json.encode(r:data()))
  t.eq(data.moongate_tries_total.series, json.array { { labels = { kind = "index" }, value = 3 } })
  t.eq(data.moongate_wait_seconds.series[1].p99, 0.25)
  t.eq(r:lines(), {
    "tries_total{kind=index}  3",
    "                          count     avg     p50     p95     p99     min     max",
    "wait_seconds{kind=index}      1  250 ms  250 ms  250 ms  250 ms  250 ms  250 ms",
  })
end)

t.test("what is counted elsewhere comes in when the metrics are read", function()
  local r = metrics.new()
  r:on_collect(function(registry) registry:gauge("moongate_live", "Live."):set(7) end)
  t.ok(r:prometheus():find("moongate_live 7", 1, true))
end)

-- ---- docs/metrics.md ----

local fs = require "moongate.fs"
local host = require "moongate.host"

-- Every file of the program's own Lua that registers metrics or makes spans: fn(text, name).
local function sources(fn)
  for _, name in ipairs(host.embedded_list()) do
    if name:find "%.lua$" and name ~= "moongate/metrics.lua" and name ~= "moongate/trace.lua" then
      fn(host.embedded(name), name)
    end
  end
end

t.test("docs/metrics.md has every metric there is, with its type, and no other", function()
  local doc, described, found = assert(fs.read "docs/metrics.md"), {}, {}
  for name, kind in doc:gmatch "\n| `(moongate_[%w_]+)` | (%a+) |" do described[name] = kind end
  sources(function(text, file)
    for kind, name in text:gmatch ":(%a+)%(%s*\"(moongate_[%w_]+)\"" do
      if kind == "counter" or kind == "gauge" or kind == "histogram" then
        t.eq(described[name], kind, ("%s of %s in docs/metrics.md"):format(name, file))
        found[name] = true
      end
    end
  end)
  for name in pairs(described) do t.ok(found[name], name .. " is described, and nothing registers it") end
  t.ok(next(found))
end)

t.test("docs/metrics.md has the labels of each metric", function()
  local doc = assert(fs.read "docs/metrics.md")
  sources(function(text, file)
    for name, rest in text:gmatch ":%a+%(%s*\"(moongate_[%w_]+)\",%s*(\"[^\n]*\n?[^\n]*)" do
      local list = rest:match "^\"[^\"]*\",%s*{([^}]*)}"
      if list then
        local want = {}
        for label in list:gmatch "\"([%w_]+)\"" do want[#want + 1] = "`" .. label .. "`" end
        local row = doc:match("\n| `" .. name .. "` | %a+ | ([^|]*) |")
        t.eq(row, table.concat(want, ", "), ("the labels of %s (%s) in docs/metrics.md"):format(name, file))
      end
    end
  end)
end)

t.test("docs/metrics.md has every span there is", function()
  local doc, spans = assert(fs.read "docs/metrics.md"), {}
  for name in doc:gmatch "\n| `([^`]+)`[^|]*| %a+ |" do spans[#spans + 1] = name end
  local function described(name)
    for _, span in ipairs(spans) do
      if span == name or span:sub(1, #name) == name and name:find " $" then return true end
    end
  end
  sources(function(text, file)
    for name in text:gmatch "[%.:]span%(\"([^\"]*)\"" do
      t.ok(described(name), ("span %q of %s is not in docs/metrics.md"):format(name, file))
    end
  end)
  t.ok(#spans >= 6)
end)
