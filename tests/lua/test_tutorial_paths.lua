-- Gateways that serve what the tutorials name, and no more; and answers in the forms of other APIs.
local t = require "moongate.test"
local fake = require "fake_gateway"
local gateway = require "moongate.gateway"
local http = require "moongate.http"
local httpd = require "moongate.httpd"
local json = require "moongate.json"
local kinds = require "moongate.gateway.kinds"
local model = require "moongate.model"
local reply = require "moongate.router.reply"
local router = require "moongate.router"
local template = require "moongate.template"

-- routes: "METHOD path" -> answer, or function(request) -> answer; anything else is 404.
local function serve(routes)
  local log = {}
  local server = assert(httpd.serve { handler = function(req)
    local name = req.method .. " " .. req.target:gsub("%?.*", "")
    log[#log + 1] = name
    local answer = routes[name]
    if type(answer) == "function" then answer = answer(req) end
    return answer or { status = 404, json = { message = "not found" } }
  end })
  return server, log
end

local function open(server, opts)
  local lines = {}
  local function keep(format, ...) lines[#lines + 1] = format:format(...) end
  local all = {
    client = assert(http.client { base_url = server.url, retry = false }), audit = fake.audit(), leases = false,
    log = { info = function() end, warn = keep, error = keep, debug = function() end },
  }
  for k, v in pairs(opts or {}) do all[k] = v end
  return gateway.open(all), lines
end

t.test("the text of an answer", function()
  local forms = {
    { { output = "a" }, "a" }, { { output = { { content = { { type = "output_text", text = "b" } } } } }, "b" },
    { { choices = { { message = { content = "c" } } } }, "c" }, { { choices = { { text = "d" } } }, "d" },
    { { completion = "e" }, "e" }, { { response = "f" }, "f" },
    { { content = { { type = "thinking", thinking = "x" }, { type = "text", text = "g" }, { text = "h" } } }, "gh" },
    { { candidates = { { content = { parts = { { text = "i" } } } } } }, "i" },
    { { message = { role = "assistant", content = "j" } }, "j" }, { { { generated_text = "k" } }, "k" },
    { { output = "", text = "l" }, "l" }, { { output = "" }, "" }, { { id = 1 }, nil }, { {}, nil },
  }
  for i, form in ipairs(forms) do t.eq(reply.text(form[1]), form[2], "form " .. i) end
  t.eq(reply.text({ a = { { ["b/c"] = "m" } } }, { "/a/0/b~1c" }), "m")
end)

t.test("prompts: no listing, an answer of another form, and one without a text", function()
  local bodies = { { choices = json.array { { message = { content = "hello" } } }, usage = { prompt_tokens = 3 } },
    { verdict = 7 } }
  local server <close> = serve {
    ["GET /api/v2/ai/models"] = { status = 403, json = { message = "missing scope ai:models:read" } },
    ["POST /api/v2/ai/gateway/prompts"] = function(req)
      t.eq(json.decode(req.body).modelId, "my-model")
      return { json = table.remove(bodies, 1) }
    end,
  }
  local gw, warnings = open(server)
  local r = router.open { gateway = gw, model = "my-model" }
  t.eq(r:route("one").output, "hello")
  t.ok(warnings[1]:find("names of models are sent as ids", 1, true))
  local answer = r:route("two")
  t.eq({ answer.status, answer.output, answer.raw }, { "ok", nil, { verdict = 7 } })
  t.ok(answer.warning)
  local counted = r.models:data()[1]
  t.eq({ counted.hits, counted.tokens.input }, { 2, 3 })
end)

t.test("every call has a correlation id of its own, which counts where the gateway gives none", function()
  local seen = {}
  local server <close> = serve { ["PUT /x"] = function(req)
    seen[#seen + 1] = req.headers["x-correlation-id"]
    return { json = {}, headers = #seen == 2 and { ["inin-correlation-id"] = "theirs" } or nil }
  end }
  local audit = fake.audit()
  local gw = open(server, { audit = audit })
  local first, second = gw:put_path("/x", { a = 1 }), gw:put_path("/x", { a = 2 })
  t.eq({ first.correlation_id, second.correlation_id }, { seen[1], "theirs" })
  t.ok(#seen[1] == 36 and seen[1] ~= seen[2])
  t.eq(audit.lines[2].correlationId, seen[1])
end)

t.test("a compressed reason is read, whether compression was asked for or not", function()
  local packed = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\xca\x4d\x2d\x2e\x4e\x4c\x4f\x55\xb2\x52\x2a\xc9"
    .. "\xcf\x57\x48\xca\x4c\xd7\x51\x28\x4e\xcc\x4c\x51\x28\xc9\x48\x55\x48\x4f\x2c\x49\x2d\x4f\xac\x54"
    .. "\xaa\x05\x00\x5c\x47\x74\x18\x27\x00\x00\x00"
  local server <close> = serve { ["POST /z"] = function() return { status = 400, body = packed, headers = {
    ["Content-Encoding"] = "gzip", ["Content-Type"] = "application/json" } } end }
  local _, err = http.post(server.url .. "/z", { body = "{}" })
  t.eq(err.message, "too big, said the gateway")
end)

t.test("a dialect says where the text is", function()
  local server <close> = serve {
    ["GET /api/v2/ai/models"] = { json = json.array { { id = "m" } } },
    ["POST /api/v2/ai/gateway/prompts"] = { json = { output = "no", verdict = { words = "yes" } } },
  }
  local gw = open(server, { kinds = { prompt = { answer = { "/verdict/words" } } } })
  t.eq(router.open({ gateway = gw, model = "m" }):route("x").output, "yes")
end)

t.test("capabilities: the listing, the top level, and a gateway that tells nothing", function()
  local routes = { ["GET /api/v2/ai/models"] = { json = { entities = json.array {
    { id = "other" }, { id = "m", maxContextWindow = 77, restricted_safety_filters = json.array { "pii" } } } } } }
  local server <close> = serve(routes)
  local gw = open(server)
  local found = model.configuration.capabilities(gw, "m")
  t.eq({ found.max_context_window, found.restricted_safety_filters[1] }, { 77, "pii" })
  t.eq({ model.configuration.capabilities(gw, "absent") }, {})
  routes["GET /api/v2/ai/models"] = { status = 403, json = { message = "missing scope" } }
  local none, untold = model.configuration.capabilities(gw, "m")
  t.eq({ none, untold }, { nil, true })
  routes["GET /api/v2/ai/models/m"] = { status = 405, json = { message = "no" } }
  none, untold = model.configuration.capabilities(gw, "m")
  t.eq({ none, untold }, { nil, true })
end)

t.test("capabilities from the command line", function()
  local load = model.configuration.load_capabilities
  t.eq(load '{"max_context_window": 9}' "any".max_context_window, 9)
  t.eq(load '{"AB": {"max_context_window": 8}}' "ab".max_context_window, 8)
  t.eq(load '[{"id": "x", "capabilities": {"max_context_window": 7}}]' "x".max_context_window, 7)
  for _, bad in ipairs { "{}", "[1]", '{"max_contxt_window": 1}', "{" } do
    local ok, err = pcall(load, bad)
    t.eq({ ok, err.code }, { false, "invalid" }, bad)
  end
end)

t.test("a version is found in the listing alone; a promotion whose answer was lost, too", function()
  local held = json.array {}
  local routes = { ["GET /api/v2/ai/prompt-templates/t/versions"] = function() return { json = held } end }
  routes["POST /api/v2/ai/prompt-templates/t/versions"] = function(req)
    held[1] = json.decode(req.body)
    return { status = 504, body = "" }
  end
  local server <close>, log = serve(routes)
  local gw = open(server)
  local item = { document = { templateId = "t", version = "1.2.3", content = "x", variables = {},
    rollbackDirective = false } }
  local seen = template.look(gw, "t", "1.2.3")
  t.eq({ #seen.versions, seen.version }, { 0, nil })
  t.eq(template.promote(gw, item, seen).status, "reconciled")
  seen = template.look(gw, "t", "1.2.3")
  t.eq(seen.version.content.content, "x")
  t.eq(log[#log], "GET /api/v2/ai/prompt-templates/t/versions")
end)

t.test("a 404 on the way back is no failure where reading is not served, and one where it is", function()
  local status, shown = 200, {}
  local server <close> = serve { ["PUT /thing/a"] = function(req)
    return { status = status, json = shown == "all" and json.decode(req.body) or { ok = true } }
  end }
  local thing = { path = "/thing/{id}", lock = "none" }
  local gw, warnings = open(server, { kinds = { thing = thing } })
  local function put()
    local result = gw:write("thing", { id = "a" }, { content = { n = 1 } })
    return pcall(gw.confirm, gw, "thing", { id = "a" }, { n = 1 }, result)
  end
  local ok, now = put()
  t.eq({ ok, now.unread }, { true, true })
  t.ok(warnings[1]:find("can't be read back", 1, true))
  status = 201
  ok, now = put()
  t.eq({ ok, now.code, now.path }, { false, "verify", "/thing/a" })
  shown = "all"
  t.eq(put(), true)
end)

t.test("health: healthy is what the dialect names so, and nothing else", function()
  local answer
  local path = "POST /api/v2/ai/llm-gateway/models/m/health-checks"
  local server <close> = serve { [path] = function() return answer end }
  local gw = open(server)
  local function verdict(what)
    answer = what
    local health = model.check_health(gw, "m")
    t.eq(health.healthy, health.verdict == "healthy")
    return health.verdict, health.message
  end
  local good = { { status = "Healthy" }, { health = "OK" }, { healthy = true }, { status = { state = "UP" } } }
  for _, body in ipairs(good) do t.eq(verdict { json = body }, "healthy") end
  t.eq(verdict { body = "pass" }, "healthy")
  local word, message = verdict { json = { status = "DOWN", message = "no route" } }
  t.eq({ word, message }, { "unhealthy", "no route" })
  t.eq(verdict { json = { healthy = false } }, "unhealthy")
  for _, body in ipairs { { status = "PENDING" }, { id = "x" }, json.array {} } do
    t.eq(verdict { json = body }, "unknown")
  end
  word, message = verdict { status = 204, body = "" }
  t.eq({ word, message }, { "unknown", "an empty answer (status 204)" })
end)

t.test("what the gateway fills is not compared, and what the kind names so is sent back", function()
  local schema = { type = "object", additionalProperties = false, properties = {
    n = { type = "integer" }, list = { type = "array", items = { type = "object", additionalProperties = false,
      properties = { a = { type = "integer" } } } } } }
  local declared = { path = "/k", schema = schema, computed = { "version", "/list/*/id" } }
  local kind = kinds.load({ kinds = { k = declared } }).k
  local live = { n = 1, version = 4, updatedAt = "x", list = { { a = 1, id = "one", etag = "e" } } }
  local file = { n = 1, list = { { a = 1 } } }
  t.eq(kinds.comparable(kind, live, file), kinds.comparable(kind, file, live))
  file.n = 2
  t.eq(kinds.comparable(kind, live, file).n, 1)
  t.eq(kinds.comparable(kind, file, live).n, 2)
  t.eq(kinds.sendable(kind, file, live), { n = 2, version = 4, list = { { a = 1, id = "one" } } })
end)
