-- What a script can get hold of, walked: from its globals, all public modules, and the objects and results that these
-- give, through every table, every metatable that it is shown, and every name that occurs in the program. None of it is
-- the store, a journal, a session, or a table that trusted code works with.
local host = require "moongate.host"
local meta = require "moongate.meta"
local runs = require "moongate.runs"
local sandbox = require "moongate.sandbox"
local scope = require "moongate.scope"
local sealed = require "moongate.sealed"
local store = require "moongate.store"
local messages = require "moongate.queue.kinds.message"
local t = require "moongate.test"
local task = require "moongate.task"
local workflow = require "moongate.workflow"

-- ---- what must not be reached ----

local function modules()
  local names = {}
  for _, file in ipairs(host.embedded_list "moongate/") do
    local name = file:match "^(moongate/[%w_/]+)%.lua$"
    if name and not name:find "/init$" then names[#names + 1] = name:gsub("/", ".") end
  end
  for _, name in ipairs(meta.modules()) do names[#names + 1] = name end
  return names
end

-- Tables of trusted modules, and all functions of private ones: value -> what it is.
local function forbidden()
  local out, seen = {}, {}
  local function add(value, path, functions)
    if type(value) == "function" and functions then out[value] = path end
    if type(value) ~= "table" or seen[value] then return end
    seen[value], out[value] = true, path
    for k, v in next, value do
      if not host.raw_getmetatable(value) then add(v, path .. "." .. tostring(k), functions) end
    end
  end
  for _, name in ipairs(modules()) do
    local ok, module = pcall(sandbox.original, name)
    if ok then add(module, name, not sandbox.public(name)) end
  end
  -- What public modules make known of themselves is no secret, wherever else it is.
  for _, name in ipairs(meta.modules()) do
    if sandbox.public(name) then
      for _, fn in next, sandbox.original(name) do if type(fn) == "function" then out[fn] = nil end end
    end
  end
  for _, name in ipairs { "write", "write_err", "write_out" } do out[host[name]] = nil end -- print
  return out
end

local PRIVATE_TYPES = { ["moongate.store"] = true, ["moongate.store.tx"] = true, ["moongate.child"] = true }

local function type_name(v)
  local mt = host.raw_getmetatable(v)
  local name = mt and rawget(mt, "__name")
  for known, its in pairs(host.metatables()) do if its == mt then name = known end end
  return type(name) == "string" and name or nil
end

-- ---- the walk ----

-- Every name that stands in the program: fields that a metatable makes on demand are found by them.
local function all_names()
  local set = {}
  for _, folder in ipairs { "moongate/", "scripts/", "meta/" } do
    for _, file in ipairs(host.embedded_list(folder)) do
      if file:find "%.lua$" then
        for name in host.embedded(file):gmatch "[%a_][%w_]*" do set[name] = true end
      end
    end
  end
  for _, name in ipairs { "__index", "__newindex", "__gc", "__close", "__call", "__mode", "__name", "__metatable" } do
    set[name] = true
  end
  return set
end

local NAMES = all_names()

-- Values that `roots` lead to, breadth first -> list of {path, what it is} of those that are forbidden; how many there
-- were. shown: getmetatable, as the script has it.
local function walk(roots, no, shown)
  local queue, seen, found, n = {}, {}, {}, 0
  local function add(value, path)
    local kind = type(value)
    if kind ~= "table" and kind ~= "userdata" and kind ~= "function" and kind ~= "thread" or seen[value] then return end
    seen[value], n = true, n + 1
    local name = type_name(value)
    local bad = no[value] or name and PRIVATE_TYPES[name] and name
    if bad then found[#found + 1] = path .. " is " .. bad end
    if not bad and kind ~= "function" then queue[#queue + 1] = { value, path } end
  end
  for name, value in pairs(roots) do add(value, name) end
  local at = 1
  while queue[at] do
    local value, path = queue[at][1], queue[at][2]
    at = at + 1
    if type(value) == "table" then
      for k, v in next, value do
        add(k, path .. "(key)")
        add(v, path .. "." .. tostring(k))
      end
    end
    add(shown(value), path .. "(metatable)")
    if host.raw_getmetatable(value) and type(value) ~= "thread" then
      for name in pairs(NAMES) do
        local ok, v = pcall(function() return value[name] end)
        if ok then
          add(v, path .. ":" .. name)
          if name:find "^__" and v ~= nil then found[#found + 1] = path .. ":" .. name .. " is there" end
        end
      end
    end
  end
  table.sort(found)
  return found, n
end

-- ---- what a script gets by asking ----

local SCRIPT = [=[
local workflow = require "moongate.workflow"
local got = { env = _G, modules = {}, again = {} }
for _, name in ipairs(...) do
  got.modules[name] = require(name)
  got.again[name] = require "moongate"[name:match "[%w_]+$"]
end
local m = got.modules
local function try(name, fn, ...) got[name] = table.pack(pcall(fn, ...)) end

got.definition = workflow.define {
  name = "reach", summary = "reaches out", flags = { { "on-conflict", "x" } },
  run = function(run)
    got.run, got.gateway, got.metrics, got.project = run, run.gateway, run.metrics, run.project
    got.stream, got.progress = run:stream(), run:progress(1, "x")
    local place = { vectorStoreId = "vs", indexId = "i" }
    local config = { indexId = "i", dimensions = 8, similarityMetric = "cosine", embeddingFormat = "float32" }
    got.kind = run.gateway:kind "index"
    try("step", run.step, run, "one", function() return run.gateway:write("index", place, { content = config }) end, {
      intent = { 1 }, webhook = function() return "e", {} end, told = function(notes) got.notes = notes end,
    })
    try("failed step", run.step, run, "two", function()
      error(m["moongate.error"].new { code = "x", message = "y" })
    end)
    try("write", run.gateway.write, run.gateway, "index", place, {
      content = config, details = function(...) got.details = { ... } return {} end,
      outcome_details = function(...) got.outcome_details = { ... } return {} end,
    })
    try("bad write", run.gateway.write, run.gateway, "index", place, { content = { dimensions = 0 } })
    try("get", run.gateway.get, run.gateway, "index", place)
    try("none", run.gateway.get_path, run.gateway, "/api/v2/no/such")
    try("find", run.gateway.find, run.gateway, "index", place, config)
    try("list", function() for page in run.gateway:list("index", place) do got.page = page end end)
    try("request", run.gateway.request, run.gateway, { path = "/api/v2/ai/models" })
    try("remove", run.gateway.remove, run.gateway, "index", place, {})
    try("hold", run.hold, run, { { "index", place } })
    try("read", run.read, run, "r", function() return 1 end)
    try("sleep", run.sleep, run, 0)
    try("timeout", run.timeout, run, 1, function() return 2 end)
    try("webhook", run.webhook, run, "e", {})
    try("diff", run.diff, run, { a = 1 }, { a = 2 })
    try("span", run.span, run, "s", {}, function(span) got.in_span = span end)
    try("call", run.model_call, run, { model = "m" }, function(call) got.in_call = call end)
    run.metrics:counter("moongate_x_total", "x", { "a" }):with("b"):add(1)
    run.metrics:gauge("moongate_y", "y"):set(1)
    run.metrics:histogram("moongate_z_seconds", "z"):observe(1)
    run.metrics:on_collect(function(registry) got.registry = registry end)
    try("collect", run.metrics.data or run.metrics.counter, run.metrics)
    got.router = m["moongate.router"].open { gateway = run.gateway, model = "sim-small", metrics = run.metrics }
    try("prepare", got.router.prepare, got.router)
    try("route", got.router.route, got.router, "Say hello")
    try("no route", got.router.route, got.router, { prompt = "" })
    try("class", run.say, run.gateway, "x")
    got.task, got.semaphore = m["moongate.task"].current(), m["moongate.task"].semaphore(1)
    got.schema = m["moongate.schemas"].compile and table.pack(pcall(m["moongate.schemas"].compile, "index"))
    try("client", m["moongate.http"].client, {})
    try("httpd", m["moongate.httpd"].serve, { handler = function(request)
      got.request = request
      return { status = 204 }
    end })
    local url = got.httpd[2].url
    try("asked", got.client[2].request, got.client[2], { url = url .. "/x", method = "POST", body = "y" })
    got.headers = got.asked[2] and got.asked[2].headers
    try("stop", got.httpd[2].stop, got.httpd[2])
    try("reader", m["moongate.fs"].lines, "-")
    try("audit", m["moongate.audit"].intent, { action = "x" })
    try("secret", m["moongate.secret"].of, "not told to anybody")
    try("auth", m["moongate.auth"].gateway)
    try("message", m["moongate.webhooks"].message, { url = "http://127.0.0.1/", event = "e", data = {} })
    try("listening", m["moongate.webhooks"].listening, { a = { url = "http://127.0.0.1/" } }, "e")
    try("load", m["moongate.index"].load, "scripts/examples/index.json")
    try("template", m["moongate.template"].load, "scripts/examples/template.json")
    try("model", m["moongate.model"].load, "scripts/examples/model.json")
    return { text = "done" }
  end,
}
return got
]=]

local function public_modules()
  local public = {}
  for _, name in ipairs(meta.modules()) do
    if sandbox.for_scripts(name) then public[#public + 1] = name end
  end
  return public
end

-- Runs it in a run with a journal, against a simulated gateway -> what it got, its getmetatable, the trusted side.
local function reach()
  local got = assert(sandbox.load_chunk(SCRIPT, "=script"))(public_modules())
  local server <close> = assert(require("moongate.sim").start { rate_limit = 0 })
  assert(host.use_gateway(server.url, server.client_id, server.client_secret))
  got.server = server
  local db = assert(store.open "sqlite::memory:")
  local j = assert(runs.begin(db, {
    id = runs.new_id(), workflow = "reach", words = {}, options = {}, script = "test",
  }))
  local session = { journal = j, simulated = true, project = { limits = { dimensions = 9 } } }
  local job = task.spawn(function()
    return j:within(function()
      got.current = scope.get() and true
      return workflow.execute(got.definition, {}, session)
    end)
  end)
  got.outcome = table.pack(job:join())
  got.ended = table.pack(pcall(got.run.say, got.run, "later"))
  return got, got.env.getmetatable, { [j] = "the journal", [db] = "the store", [session] = "the session",
    [session.project] = "the project", [sealed.open(got.run)] = "the run", [sealed.open(got.gateway)] = "the gateway",
    [sealed.open(got.server)] = "the server", [sealed.open(got.router)] = "the router" }
end

t.test("nothing that a script can reach is trusted code's own", function()
  local got, shown, trusted = reach()
  t.ok(got.outcome[1], tostring(got.outcome[2]))
  t.eq(got.outcome[1].lines[2], "done")
  local no = forbidden()
  for value, what in pairs(trusted) do no[value] = what end
  local found, n = walk(got, no, shown)
  t.eq(found, {})
  t.ok(n > 500, n .. " values")
end)

t.test("the walk finds what there is to be found", function()
  local got, shown, trusted = reach()
  local no = forbidden()
  for value, what in pairs(trusted) do no[value] = what end
  local run = sealed.open(got.run)
  for what, value in pairs {
    ["a run"] = run, ["a field"] = { { inner = run } }, ["a gateway"] = sealed.open(got.gateway),
    ["a module"] = { sandbox.original "moongate.json" }, ["a store"] = { [run.journal.db] = 1 },
    ["a function"] = host.getenv, ["behind a metatable"] = setmetatable({}, { __index = { journal = run.journal } }),
  } do t.ok(#walk({ value }, no, shown) > 0, what) end
end)

-- ---- one by one ----

-- fn(run) in a script's environment, as text, in a run that has a journal -> what it returns
local function in_run(text)
  local definition = assert(sandbox.load_chunk("return require 'moongate.workflow'.define { name = 'x', summary = 'x', "
    .. "run = function(run) " .. text .. " end }", "=script"))()
  local server <close> = assert(require("moongate.sim").start { rate_limit = 0 })
  assert(host.use_gateway(server.url, server.client_id, server.client_secret))
  local db = assert(store.open "sqlite::memory:")
  local j = assert(runs.begin(db, { id = runs.new_id(), workflow = "x", words = {}, options = {}, script = "test" }))
  local job = task.spawn(function()
    return j:within(function()
      return workflow.execute(definition, {}, { journal = j, simulated = true, store = function() return db end })
    end)
  end)
  local outcome, err = job:join()
  if not outcome then error(err, 0) end
  return outcome.data
end

t.test("the run shows no journal, session or leases, whatever it is asked for", function()
  for _, name in ipairs { "journal", "store", "_session", "_journal", "_scope", "_lines", "__index" } do
    t.eq(in_run(("return { v = run.%s }"):format(name)), {}, name)
    t.eq(in_run(("return { v = rawget(run, '%s') }"):format(name)), {}, name)
  end
  t.eq(in_run "return { mt = getmetatable(run), next = next(run) }", { mt = "moongate.workflow.run" })
  t.eq(in_run "return { v = pcall(setmetatable, run, {}) }", { v = false })
end)

t.test("nor does the gateway show its client, journal, cache or leases", function()
  for _, name in ipairs { "_client", "_journal", "_cache", "_originals", "leases", "store", "clock", "__index" } do
    t.eq(in_run(("return { v = run.gateway.%s }"):format(name)), {}, name)
  end
end)

t.test("a method takes its own kind of handle only", function()
  t.raises(function() in_run "run.say(run.gateway, 'x')" end, "moongate.workflow.run expected")
  t.raises(function() in_run "run.gateway.get({ _client = 1 }, 'index', {})" end, "moongate.gateway.handle expected")
  t.raises(function() in_run "run.say(nil, 'x')" end, "moongate.workflow.run expected")
end)

t.test("what a script sets in a handle, only it sees", function()
  local out = in_run [[
    local gw = run.gateway
    run.dry_run, gw.dry_run, gw.audit = true, true, { intent = function() error "mine" end }
    run.audit.event, run.log.info, run.project.webhooks = nil, nil, { a = { url = "http://127.0.0.1:9/" } }
    gw:kind("index").path, gw.write = "/elsewhere", gw.write
    local result = gw:write("index", { vectorStoreId = "vs", indexId = "i" }, {
      content = { indexId = "i", dimensions = 8, similarityMetric = "cosine", embeddingFormat = "float32" },
    })
    return { status = result.status, path = gw:kind("index").path, told = #run:webhook("e", {}) }
  ]]
  t.eq({ out.status, out.told }, { "created", 0 })
  t.ok(out.path ~= "/elsewhere")
  t.ok(sandbox.original "moongate.audit".event)
end)

t.test("a webhook of a script's own can't pass for the project's, nor name variables to be sent", function()
  local db = assert(store.open "sqlite::memory:")
  local function tell(also)
    local definition = workflow.define { name = "x", summary = "x", run = function(run)
      return { notes = run:webhook("e", {}, { also = { a = also } }) }
    end }
    workflow.execute(definition, {}, { store = db, project = {}, audit = require("fake_gateway").audit() })
    return messages.list(db, messages.STATES, 9)
  end
  local url = "http://127.0.0.1:1/"
  t.raises(function() tell { url = url, headers = { ["X-Key"] = { variable = "HOME" } } } end, "secret's handle")
  t.raises(function() tell { url = setmetatable({}, { __index = string }) } end, "string")
  t.eq(#assert(db:exec "SELECT seq FROM queue_items"), 0)
  local row = tell({ url = url, configured = true, stored_url = "https://hooks.example.com/" })[1]
  t.eq({ row.secret_ref, row.url, row.headers_json }, { "none", url })
end)

t.test("a script's copy of a module is its own, however deep", function()
  local own, script = sandbox.original "moongate.metrics", "=script"
  local first = own.SECONDS[1]
  assert(sandbox.load_chunk("require 'moongate.metrics'.SECONDS[1] = 'mine'", script))()
  t.eq(own.SECONDS[1], first)
  t.eq(assert(sandbox.load_chunk("return require 'moongate.metrics'.SECONDS[1]", script))(), first)
end)

t.test("only modules that lua/meta describes are for scripts", function()
  local public = {}
  for _, name in ipairs(public_modules()) do public[name] = true end
  for _, name in ipairs(modules()) do
    local ok = pcall(assert(sandbox.load_chunk("return require(...)", "=script")), name)
    t.eq(ok, public[name] or false, name)
  end
  for _, name in ipairs { "moongate.test", "moongate.store", "moongate.queue", "moongate.workflow.hold",
    "moongate.sealed", "moongate.gateway.write", "moongate.dialects.genesys" } do t.ok(not public[name], name) end
  for _, name in ipairs { "execute", "open" } do
    t.eq(assert(sandbox.load_chunk("return require 'moongate.workflow'." .. name, "=script"))(), nil)
  end
end)
