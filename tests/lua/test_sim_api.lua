-- The simulated gateway's API as a client meets it: tokens, errors, limits, indexes.
local f = require "sim_fixture"
local json = require "moongate.json"
local plain_client = require "plain_client"
local sim = require "moongate.sim"
local t = require "moongate.test"
local task = require "moongate.task"

-- The form every error of the API has.
local function error_form(res, status, code)
  t.eq(res.status, status)
  t.eq(res.headers["content-type"], "application/json")
  local body = assert(res:json())
  t.eq(body.code, code)
  t.eq(body.status, status)
  t.eq(type(body.message), "string")
  t.eq(body.contextId, res.headers["inin-correlation-id"])
  t.ok(json.is_array(body.details) and json.is_array(body.errors))
  return body
end

t.test("tokens are minted for the right client only", function()
  local server <close> = assert(sim.start { client_id = "me", client_secret = "hush:hush" })
  local call = plain_client.new(server.url)
  local res = f.mint(server, call)
  t.eq(res.status, 200)
  local body = res:json()
  t.eq(body.token_type, "bearer")
  t.eq(body.expires_in, 86400)
  t.eq(res.headers["cache-control"], "no-store")

  local function refused(status, code, answer)
    t.eq(answer.status, status)
    local b = answer:json()
    t.eq(b.error, code)
    t.eq(b.description, b.error_description)
  end
  refused(401, "invalid_client", f.mint(server, call, nil, f.basic(server, "wrong")))
  refused(400, "invalid_client", f.mint(server, call, nil, f.basic(server, "hush:hush", "you")))
  refused(401, "invalid_client", f.mint(server, call, nil, "Basic !!!"))
  refused(401, "invalid_client", f.mint(server, call, nil, "Bearer x"))
  refused(400, "invalid_scope", f.mint(server, call, "ai:vectorstore:read+no:such"))
  local function post(body_text, content_type)
    return assert(call("POST", "/oauth/token", {
      headers = { Authorization = f.basic(server), ["Content-Type"] = content_type }, body = body_text,
    }))
  end
  local form = "application/x-www-form-urlencoded"
  refused(400, "invalid_request", post("", form))
  refused(400, "unsupported_grant_type", post("grant_type=password", form))
  refused(400, "invalid_request", post("grant_type=client_credentials", "text/plain"))
  t.eq(post("grant_type=client_credentials", form .. "; charset=utf-8").status, 200)
  t.eq(server:state().oauth.minted, 2)
end)

t.test("the login host has its own rate limit", function()
  local server <close> = assert(sim.start { faults = { "status=429,path=/oauth/token,times=1" } })
  local call = plain_client.new(server.url)
  local res = f.mint(server, call)
  t.eq(res.status, 400)
  t.eq(res:json().error, "invalid_request")
  t.eq(res:json().description, "rate limit exceeded")
  t.eq(f.mint(server, call).status, 200)
end)

t.test("calls need a token that lives", function()
  local server <close>, api, call = f.start { token_ttl = 3600 }
  error_form(assert(call("GET", f.indexes)), 401, "authentication.required")
  error_form(assert(call("GET", f.indexes, { headers = { Authorization = "Bearer nix" } })), 401, "bad.credentials")
  t.eq(assert(api("GET", f.indexes)).status, 200)
  server:expire_tokens()
  error_form(assert(api("GET", f.indexes)), 401, "bad.credentials")
end)

t.test("a token ends after its time", function()
  local server <close>, api = f.start { token_ttl = 1 }
  t.eq(assert(api("GET", f.indexes)).status, 200)
  task.sleep(1.01)
  t.eq(assert(api("GET", f.indexes)).status, 401)
  t.eq(server:state().oauth.live, 0)
end)

t.test("calls need the scope", function()
  local server <close>, api = f.start({}, "ai:vectorstore:read")
  t.eq(assert(api("GET", f.indexes)).status, 200)
  local body = error_form(f.put(api, "a"), 403, "missing.any.permissions")
  t.ok(body.message:find("ai:vectorstore:write", 1, true))
  t.eq(body.details[1].entityName, "ai:vectorstore:write")
  t.ok(server)
end)

t.test("a client may be granted little", function()
  local server <close>, api, call = f.start { scopes = { "ai:vectorstore:read" } }
  t.eq(f.put(api, "a").status, 403)
  t.eq(f.mint(server, call, "ai:vectorstore:write").status, 400)
end)

t.test("unknown paths and methods are said to be so", function()
  local server <close>, api = f.start()
  error_form(assert(api("GET", "/api/v2/nothing")), 404, "not.found")
  error_form(assert(api("GET", "/")), 404, "not.found")
  local res = assert(api("DELETE", f.indexes .. "/a"))
  error_form(res, 405, "method.not.allowed")
  t.eq(res.headers.allow, "GET, PUT")
  t.ok(server)
end)

t.test("the rate limit counts, refuses, and says when to come back", function()
  local server <close>, api, _, token = f.start { rate_limit = 3 }
  for n = 1, 3 do
    local res = assert(api("GET", f.indexes))
    t.eq(res.status, 200)
    t.eq(res.headers["inin-ratelimit-count"], tostring(n))
    t.eq(res.headers["inin-ratelimit-allowed"], "3")
    local reset = tonumber(res.headers["inin-ratelimit-reset"])
    t.ok(reset > 55 and reset <= 60)
  end
  -- Under this name the client does not know yet that it should wait.
  local again = f.with_token(plain_client.new("http://localhost:" .. server.port), token)
  local res = assert(again("GET", f.indexes))
  error_form(res, 429, "too.many.requests")
  t.eq(res.headers["retry-after"], res.headers["inin-ratelimit-reset"])
end)

t.test("an index is created, read, replaced", function()
  local server <close>, api = f.start()
  error_form(assert(api("GET", f.indexes .. "/a")), 404, "not.found")
  local created = f.put(api, "a", { ["If-None-Match"] = "*" })
  t.eq(created.status, 201)
  local update = created:json()
  t.eq(update.id, "a")
  t.eq(update.status, "active")
  t.eq(update.retrievalPrecision, 0.98)
  t.ok(update.updatedAt:match "^%d%d%d%d%-%d%d%-%d%dT" and update.syncEventId and not update.configuration)

  local res = assert(api("GET", f.indexes .. "/a"))
  t.eq(res.headers.etag, created.headers.etag)
  t.ok(res.headers.etag:match '^".+"$')
  t.eq(res:json().configuration, f.config "a")
  t.eq(res:json().syncEventId, update.syncEventId)

  local replaced = f.put(api, "a", { ["If-Match"] = res.headers.etag }, { dimensions = 16 })
  t.eq(replaced.status, 200)
  t.ok(replaced.headers.etag ~= res.headers.etag)
  t.eq(assert(api("GET", f.indexes .. "/a")):json().configuration.dimensions, 16)
  t.ok(server)
end)

t.test("an ETag changes with every write, the same content too", function()
  local server <close>, api = f.start()
  local first = f.put(api, "a").headers.etag
  local second = f.put(api, "a", { ["If-Match"] = first }).headers.etag
  t.ok(first ~= second)
  t.eq(f.put(api, "a", { ["If-Match"] = first }).status, 412)
  t.ok(server)
end)

t.test("writes are conditional", function()
  local server <close>, api = f.start()
  error_form(f.put(api, "a", { ["If-Match"] = '"1"' }), 412, "precondition.failed")
  local etag = f.put(api, "a").headers.etag
  error_form(f.put(api, "a"), 409, "general.conflict")
  error_form(f.put(api, "a", { ["If-None-Match"] = "*" }), 412, "precondition.failed")
  error_form(f.put(api, "a", { ["If-Match"] = '"stale"' }), 412, "precondition.failed")
  error_form(f.put(api, "a", { ["If-Match"] = "W/" .. etag }), 412, "precondition.failed")
  t.eq(f.put(api, "a", { ["If-Match"] = '"x", ' .. etag }).status, 200)
  t.eq(f.put(api, "a", { ["If-Match"] = "*" }).status, 200)
  t.ok(server)
end)

t.test("an index that is being updated is busy", function()
  local server <close>, api = f.start { busy = 0.1 }
  local etag = f.put(api, "a").headers.etag
  t.eq(assert(api("GET", f.indexes .. "/a")):json().status, "updating")
  local res = f.put(api, "a", { ["If-Match"] = etag })
  error_form(res, 409, "index.busy")
  t.eq(res.headers["retry-after"], "1")
  task.sleep(0.12)
  t.eq(assert(api("GET", f.indexes .. "/a")):json().status, "active")
  t.eq(f.put(api, "a", { ["If-Match"] = etag }).status, 200)
  t.ok(server)
end)

t.test("every fault of a body is named with its field", function()
  local server <close>, api = f.start()
  local body = error_form(assert(api("PUT", f.indexes .. "/a", { json = {
    indexId = "b", dimensions = 5000, similarityMetric = "manhattan", autoIngestTrigger = "yes", webhookSyncUrl = "nix",
    extra = 1,
  } })), 422, "validation.failed")
  local fields = {}
  for _, detail in ipairs(body.details) do
    fields[#fields + 1] = detail.fieldName
    t.ok(detail.errorCode and detail.message)
  end
  table.sort(fields)
  t.eq(fields, { "autoIngestTrigger", "dimensions", "embeddingFormat", "extra", "indexId", "similarityMetric",
    "webhookSyncUrl" })
  t.eq(assert(api("GET", f.indexes .. "/a")).status, 404)
  t.ok(server)
end)

t.test("a body must be a JSON object, and say that it is JSON", function()
  local server <close>, api = f.start()
  local function put(body, content_type)
    return assert(api("PUT", f.indexes .. "/a", { body = body, headers = { ["Content-Type"] = content_type } }))
  end
  error_form(put("{}", "text/plain"), 415, "unsupported.media.type")
  for _, body in ipairs { "", "{", "[]", "3", "null", '{"a":1,"a":2}', "\xff" } do
    error_form(put(body, "application/json"), 400, "bad.request")
  end
  error_form(put("{}", "application/json; charset=utf-8"), 422, "validation.failed")
  t.ok(server)
end)

t.test("listings come in pages", function()
  local server <close>, api = f.start()
  for _, id in ipairs { "c", "a", "e", "b", "d" } do t.eq(f.put(api, id).status, 201) end
  local ids, path, pages = {}, f.indexes .. "?pageSize=2", 0
  repeat
    local page = assert(api("GET", path)):json()
    for _, entity in ipairs(page.entities) do ids[#ids + 1] = entity.id end
    t.eq(page.total, 5)
    t.eq(page.pageSize, 2)
    t.eq(page.pageCount, 3)
    pages = pages + 1
    t.eq(page.pageNumber, pages)
    path = page.nextUri
  until path == json.null
  t.eq(ids, { "a", "b", "c", "d", "e" })
  t.eq(pages, 3)
  local beyond = assert(api("GET", f.indexes .. "?pageNumber=9")):json()
  t.ok(json.is_array(beyond.entities) and #beyond.entities == 0)
  t.eq(assert(api("GET", f.indexes)):json().pageSize, 25)
  for _, query in ipairs { "pageSize=0", "pageSize=101", "pageNumber=0", "pageNumber=x", "pageNumber=-1" } do
    error_form(assert(api("GET", f.indexes .. "?" .. query)), 400, "bad.request")
  end
  t.eq(assert(api("GET", "/api/v2/ai/vectorstores/other/indexes")):json().total, 0)
  t.ok(server)
end)

t.test("ids in paths are percent-decoded", function()
  local server <close>, api = f.start()
  local path = f.indexes .. "/a%2Fb%20c"
  t.eq(assert(api("PUT", path, { json = f.config "a/b c" })).status, 201)
  t.eq(assert(api("GET", path)):json().id, "a/b c")
  t.ok(server:state().indexes.store["a/b c"])
end)

t.test("an idempotency key gives the first answer again", function()
  local server <close>, api = f.start()
  local key = { ["Idempotency-Key"] = "k1", ["If-None-Match"] = "*" }
  local first, again = f.put(api, "a", key), f.put(api, "a", key)
  t.eq(first.status, 201)
  t.eq(again.status, 201)
  t.eq(again.body, first.body)
  t.eq(again.headers.etag, first.headers.etag)
  t.eq(again.headers["idempotency-replayed"], "true")
  error_form(f.put(api, "a", key, { dimensions = 9 }), 422, "idempotency.key.reused")
  t.eq(server:state().indexes.store.a.version, 1)
  local refused = { ["Idempotency-Key"] = "k2", ["If-Match"] = '"stale"' }
  t.eq(f.put(api, "a", refused).status, 412)
  t.eq(f.put(api, "a", { ["Idempotency-Key"] = "k2", ["If-Match"] = first.headers.etag }).status, 200)
end)

t.test("idempotency can be off", function()
  local server <close>, api = f.start { idempotency = false }
  local key = { ["Idempotency-Key"] = "k1", ["If-None-Match"] = "*" }
  t.eq(f.put(api, "a", key).status, 201)
  t.eq(f.put(api, "a", key).status, 412)
  t.ok(server)
end)

t.test("the same seed gives the same ids", function()
  local function one(seed)
    local server <close>, api = f.start { seed = seed }
    local res = f.put(api, "a")
    t.ok(server)
    return res:json().syncEventId .. res.headers["inin-correlation-id"] .. server.webhook_secret
  end
  t.eq(one(5), one(5))
  t.ok(one(5) ~= one(6))
end)

t.test("options are checked", function()
  t.raises(sim.start, "unknown option 'prot'", { prot = 1 })
  t.raises(sim.start, "port: a integer expected, not a string", { port = "1" })
  t.raises(sim.start, "webhook_hosts", { webhook_hosts = "none" })
  t.raises(sim.start, "token_ttl", { token_ttl = 0 })
  t.fails("invalid", sim.start { faults = { "odd" } })
  t.fails("invalid", sim.start { host = "example.com" })
end)
