-- gateway.lua - a gateway's resources by kind, and the generic verbs on any path. Reads are here; every write goes
-- through gateway/write.lua. All of it raises error objects.
--
-- Scripts, and whoever else opens one, have a handle (moongate.sealed); the stages of a write have the gateway itself.
--
-- A resource is {kind, args, content, etag, status, body, correlation_id, stale, age}: content is what a PUT takes
-- and may be changed in place; the state that was read is kept apart, so that a write knows what was changed.

local argument = require "moongate.argument"
local confirm = require "moongate.gateway.confirm"
local answer = require "moongate.gateway.answer"
local diff = require "moongate.diff"
local errors = require "moongate.error"
local find = require "moongate.gateway.find"
local hash = require "moongate.hash"
local host = require "moongate.host"
local http = require "moongate.http"
local kinds = require "moongate.gateway.kinds"
local list = require "moongate.gateway.list"
local merged = require "moongate.merged"
local plain = require "moongate.plain"
local poll = require "moongate.gateway.poll"
local queue_stage = require "moongate.gateway.queue_stage"
local scope = require "moongate.scope"
local script_audit = require "moongate.script_audit"
local sealed = require "moongate.sealed"
local suggest = require "moongate.suggest"
local trusted = require "moongate.trusted"
local uuid = require "moongate.uuid"
local write = require "moongate.gateway.write"

local M = {}

local Gateway = {}
Gateway.__index = Gateway

-- ---- the cache: last seen states, for reads while the breaker is open. get(key) -> entry | nil, put(key, entry |
-- nil) ----

local function memory_cache()
  local entries = {}
  return {
    get = function(_, key) return entries[key] end,
    put = function(_, key, entry) entries[key] = entry end,
  }
end

-- ---- dry runs ----

local dry -- of the whole session; nil: as the command line says

-- Whether writes of this session are sent at all, whoever opens the gateway.
function trusted.gateway.set_dry(on) dry = on end

-- Whether its writes are only shown: its own, or all of the session's.
function Gateway:_is_dry()
  if dry == nil then dry = host.options().dry_run or false end
  return dry or self.dry_run
end

-- ---- opening ----

local OPTIONS = {
  dialect = true, kinds = true, client = true, limits = true, audit = true, log = true, cache = true, dry_run = true,
  on_conflict = true, deadline = true, clock = true, metrics = true, leases = true, queue = true,
  store = true, journal = true,
}

local seal -- a gateway's handle, made below

local POLICIES = { fail = true, rebase = true, overwrite = true }

-- gateway.open{dialect = "genesys" | table, kinds = overrides, client = http client, limits = of the project file,
-- audit =, log =, cache =,
--   dry_run = false, on_conflict = "fail" | "rebase" | "overwrite", deadline = seconds a write may take, busy waits
--   included}
-- queue: keep for later what the gateway can't take now. leases: where what is written is held; false: nowhere.
-- metrics: a registry that counts the writes; nil for none. audit, log, cache and clock (sleep, monotonic, random)
-- have the session's for default; tests pass their own.
function M.open(opts)
  argument.check(1, "gateway.open", opts, "table")
  argument.options("gateway.open", opts, OPTIONS)
  local policy = opts.on_conflict or "fail"
  if not POLICIES[policy] then error(("gateway.open: on_conflict '%s' is not known"):format(tostring(policy)), 2) end
  return seal(setmetatable({
    _client = opts.client or error("gateway.open: client is missing", 2),
    _send_by = trusted.gateway.sender(opts.client),
    _dialect = type(opts.dialect) == "string" and opts.dialect or type(opts.dialect) == "table" and opts.dialect.name
      or "genesys",
    _kinds = kinds.load(opts.dialect or "genesys", opts.kinds, opts.limits),
    _journal = opts.journal,
    _cache = opts.cache or memory_cache(),
    _originals = setmetatable({}, { __mode = "k" }), -- resource -> the text it was read from
    audit = opts.audit or require "moongate.audit",
    log = opts.log or require "moongate.log",
    clock = opts.clock or require "moongate.gateway.clock",
    measure = opts.metrics and require("moongate.metrics.writes").new(opts.metrics) or nil,
    dry_run = opts.dry_run or false,
    on_conflict = policy,
    deadline = opts.deadline or 30,
    leases = opts.leases,
    queue = opts.queue or false,
    store = opts.store, -- nil: the session's; for what is queued
    _unread = {}, -- paths that could not be read when a write was to build on them
  }, Gateway))
end

-- What would let a write of a script leave the audit log, the lease or the journal.
local FOR_TESTS = { audit = true, leases = true, journal = true, store = true, clock = true }

-- gateway.open as a script has it.
function trusted.gateway.open(opts)
  argument.check(1, "gateway.open", opts, "table")
  for key in pairs(opts) do
    if FOR_TESTS[key] then
      error(("gateway.open: option '%s' is for tests (moongate test)"):format(tostring(key)), 2)
    end
  end
  return M.open(opts)
end

-- gw:kind(name) -> the declaration; raises for one that the dialect does not have.
function Gateway:kind(name)
  if type(name) == "table" then return name end
  if self._kinds[name] then return self._kinds[name] end
  local other = type(name) == "string" and kinds.named(self._kinds, name)
  if other then return self._kinds[other] end
  local names = kinds.names(self._kinds)
  errors.raise {
    code = "invalid", outcome = "not_sent",
    message = ("the dialect has no kind %q%s"):format(tostring(name),
      suggest.hint(tostring(name), kinds.words(self._kinds))),
    hint = "kinds: " .. table.concat(names, ", "),
  }
end

-- ---- sending ----

-- A hint for what the gateway has refused: the dialect's for its words, else the scope where it may be that.
local function add_hint(err, kind, access)
  local hosts = require "moongate.hosts"
  if hosts.is_unresolved(err) then
    err.hint = hosts.hint() or err.hint
    return err
  end
  local special = kinds.hint(kind, err)
  if special then
    err.hint = special
  elseif err.status == 403 and kind and kind.scopes and kind.scopes[access] and kinds.is_scope(err) then
    err.hint = ("The OAuth client needs the scope %s."):format(kind.scopes[access])
  elseif err.status == 404 and access == "write" then
    err.hint = "The gateway does not know the path: check the ids in it."
  end
  return err
end

-- gateway.seen_as(request) -> what a run's journal calls the request's answer.
function M.seen_as(request)
  local name = ("%s %s"):format(request.method or "GET", request.path)
  for _, part in ipairs { request.params or false, request.query or false } do
    if part and next(part) ~= nil then name = ("%s %s"):format(name, plain.write(part)) end
  end
  return name
end

-- The answer to a read goes along into the run's journal, for `moongate runs check`.
local function note_seen(j, request, response, err)
  if request.method ~= "GET" then return end
  j:saw(M.seen_as(request), response and {
    status = response.status, body = response.body, etag = response.headers["etag"],
    correlation_id = response.correlation_id,
  } or {
    error = { code = err.code, message = err.message, status = err.status, gateway_code = err.gateway_code,
      method = err.method, path = err.path, outcome = err.outcome },
  })
end

-- trusted.gateway.sender(client) -> function(client, request) -> response | nil, err: how trusted code sends. With the
-- session's credential a script's own client sends reads only.
function trusted.gateway.sender(client)
  return type(client) == "userdata" and scope.request or client.request
end

-- A copy of the request that has a correlation id, as the gateway's log and ours name the call by.
local function correlated(request)
  local copy, headers, has = {}, {}, false
  for k, v in pairs(request) do copy[k] = v end
  for name, value in pairs(request.headers or {}) do
    headers[name] = value
    has = has or name:lower() == "x-correlation-id"
  end
  if not has then headers["X-Correlation-Id"] = uuid.v4() end
  copy.headers = headers
  return copy
end

-- One request of the client -> response | nil, err. A redirect is a failure: it is not followed.
function Gateway:_call(request)
  request = correlated(request)
  local response, err
  if self.queue and self:breaker(request.family) == "open" then -- there is another way than to wait for it
    err = errors.new {
      code = "breaker_open", method = request.method or "GET", outcome = "not_sent", attempts = 0,
      path = kinds.locate({ title = "request" }, request.path, request.params).path,
      message = "the gateway is unavailable: the circuit breaker is open",
    }
  else
    response, err = self._send_by(self._client, request)
  end
  if self._journal then note_seen(self._journal, request, response, err) end
  if not response or response.status < 300 then return response, err end
  for _, status in ipairs(request.ok_status or {}) do
    if status == response.status then return response end
  end
  return nil, errors.new {
    code = "http", status = response.status, method = request.method,
    path = kinds.locate({ title = "request" }, request.path, request.params).path,
    attempts = #response.attempts, correlation_id = response.correlation_id, outcome = "final",
    message = answer.redirected(response), hint = "Check the region or base URL.",
  }
end

-- As _call, but raises.
function Gateway:_send(request, kind, access)
  local response, err = self:_call(request)
  if not response then error(add_hint(err, kind, access or "read"), 0) end
  return response
end

-- ---- reading one ----

-- The text of an answer -> body, content. Where the kind is an object, what comes instead of one has no members.
local function contents(kind, text)
  local body, err
  if text ~= "" then -- false is a document, too
    body, err = plain.decode(text)
    if body == nil then error(err, 0) end
  end
  if kind.schema and body ~= nil then body = answer.object(body) end
  local content = kinds.content(kind, body)
  if kind.schema and body ~= nil and type(content) ~= "table" then content = {} end
  return body, content
end

function Gateway:_resource(kind, args, entry, stale)
  local body, content = contents(kind, entry.text)
  local resource = {
    kind = kind.name, args = args, content = content, body = body, etag = entry.etag,
    status = type(body) == "table" and type(body.status) == "string" and body.status or nil,
    correlation_id = entry.correlation_id, stale = stale or false, listed = entry.listed,
    age = stale and self.clock.monotonic() - entry.at or 0,
  }
  self._originals[resource] = { kind = kind, text = entry.text }
  return resource
end

-- ---- for the parts of this module ----

function Gateway:_base_url() return self._client.base_url end

-- Whether the resource at the path could not be read when a write was to build on it.
function Gateway:_is_unread(path) return self._unread[path] or false end

-- The text that a resource was read from, or nil.
function Gateway:_text_of(resource)
  local original = self._originals[resource]
  return original and original.text
end

-- What is kept under a path or another key, for when the gateway is away; nil forgets it.
function Gateway:_kept(path) return self._cache:get(path) end
function Gateway:_keep(path, entry) self._cache:put(path, entry) end
function Gateway:_forget(path) self._cache:put(path, nil) end

-- The content a resource had when it was read, whatever became of resource.content since.
function Gateway:_original(resource)
  local entry = self._originals[resource]
  if not entry then return resource.content end
  local _, content = contents(entry.kind, entry.text)
  return content
end

-- Where one resource has no path that can be read, the listing may still tell of it.
local NO_ITEM = { 404, 405, 501 }

local function is_listed(kind)
  return kind.list ~= nil and kind.listed_by ~= nil
end

-- What the listing has of it, or nil; nil, true when it is not served either. response: to the look at its own path.
function Gateway:_listed(kind, args, response)
  local ok, entity = pcall(find.one, self, kind, args)
  if ok then return entity end
  if response.status == 404 and errors.is(entity) and entity.status == 404 then return nil, true end
  error(entity, 0)
end

-- A resource out of a listing's entity: it has no ETag.
function Gateway:_entity(kind, args, entity)
  return self:_resource(kind, args, { text = plain.write(entity), listed = true }, false)
end

function Gateway:_read(kind, args, opts)
  local path = kinds.readable(kind)
  local place = kinds.locate(kind, path, args)
  local response, err = self:_call {
    method = "GET", path = path, params = place.params, query = opts.query, headers = opts.headers,
    family = kind.family, deadline = opts.deadline, ok_status = is_listed(kind) and NO_ITEM or { 404 },
  }
  if not response then
    local open = self:breaker(kind.family) ~= "closed"
    local away = err.code == "breaker_open" or (open or self.queue) and queue_stage.is_away(err)
    local entry = away and not opts.fresh and not opts.query and self._cache:get(place.path)
    if not entry and away and self.queue and opts.for_write then
      self._unread[place.path] = true
      self.log.warn("%s: the gateway is unavailable, and its content is unknown", place.path)
      return nil
    end
    if not entry then error(add_hint(err, kind, "read"), 0) end
    self.log.warn("%s: the gateway is unavailable; answering from the state read %.0f s ago", place.path,
      self.clock.monotonic() - entry.at)
    return self:_resource(kind, args, entry, true)
  end
  self._unread[place.path] = nil
  if response.status >= 400 then
    self._cache:put(place.path, nil)
    if not is_listed(kind) then return nil end
    local entity, unserved = self:_listed(kind, args, response)
    return entity and self:_entity(kind, args, entity) or nil, unserved
  end
  answer.decoded(response, "GET", place.path)
  local entry = {
    text = response.body, etag = response.headers["etag"], correlation_id = response.correlation_id,
    at = self.clock.monotonic(),
  }
  if not opts.query then self._cache:put(place.path, entry) end
  return self:_resource(kind, args, entry, false)
end

local READ_OPTIONS = { query = true, headers = true, deadline = true, fresh = true, params = true, for_write = true }

-- gw:get(kind, args [, {fresh = never from the cache, deadline, query, headers, for_write}]) -> resource, or nil when
-- there is none (404); nil, true where its listing is not served either. for_write: a write is to build on it; with
-- --queue, nil also when it can't be told.
function Gateway:get(name, args, opts)
  opts = argument.options("gateway:get", opts, READ_OPTIONS)
  return self:_read(self:kind(name), args, opts)
end

-- gw:from_listing(kind, args, entity) -> the resource that a listing's entity is, without a request.
function Gateway:from_listing(name, args, entity)
  return self:_entity(self:kind(name), args, entity)
end

-- gw:get_path(path [, {params =, …}]) -> resource, or nil. As get, on any path.
function Gateway:get_path(path, opts)
  opts = argument.options("gateway:get_path", opts, READ_OPTIONS)
  return self:_read(kinds.anonymous(path), opts.params, opts)
end

-- gw:request{method, path, params, query, headers, json | body, read = true, …} -> response. For what is no resource.
-- A POST that changes nothing (a search) says read = true: it is not sent in a dry run, and a script's has an intent
-- and an outcome in the audit log as a write has. Writes go through write, put_path, post_path, patch_path,
-- delete_path.
function Gateway:request(opts)
  local request = merged(opts)
  local method, read = request.method or "GET", request.read
  local safe = method == "GET" or method == "HEAD"
  if not safe and not (read and method == "POST") then
    error(("gateway:request: %s changes something; use gateway:write or %s_path%s"):format(method, method:lower(),
      method == "POST" and " (or say read = true)" or ""), 2)
  end
  request.method, request.read = method, nil
  request.family = request.family or "other"
  if safe then return self:_send(request) end
  if self:_is_dry() then
    errors.raise {
      code = "denied", method = method, path = request.path, outcome = "not_sent",
      message = ("%s %s is not sent in a dry run: it may change something"):format(method, tostring(request.path)),
    }
  end
  if not host.restricted() then return self:_send(request) end
  return require("moongate.gateway.declared_read").send(self, request)
end

-- ---- listings, and waiting for something: see gateway/list.lua and gateway/poll.lua ----

-- gw:pages(path [, {params, query, family, deadline}]) -> iterator over pages (the decoded answers), by nextUri, else
-- by pageNumber.
function Gateway:pages(path, opts)
  opts = argument.options("gateway:pages", opts, { params = true, query = true, family = true, deadline = true })
  return list.pages(self, path, opts)
end

-- gw:list(kind, args [, {page_size =, query =, deadline =}]) -> iterator over pages.
function Gateway:list(name, args, opts)
  opts = argument.options("gateway:list", opts, { page_size = true, query = true, deadline = true })
  return list.of_kind(self, self:kind(name), args, opts)
end

-- gw:find(kind, args, content [, {among = what an earlier gw:find gave as its second result}])
--   -> matches, listed. The listed resources that have the same `same` members as content: {resource, same_content =
--   true | false | nil (the listing does not tell)}. For kinds whose resources get their ids from the gateway.
function Gateway:find(name, args, content, opts)
  opts = argument.options("gateway:find", opts, { among = true })
  return find.matches(self, self:kind(name), args, content, opts.among)
end

-- gw:poll(path, {field = "status", done = {…}, failed = {…}, running = {…}, deadline = 120, interval = 0.25,
-- max_interval = 3, params, query, watch = function(state)})
-- -> the answer whose field is one of `done`. The first look is at once, then ever later; a 429 waits; a state nobody
-- named counts as still running, with a warning. Raises "failed" for one of `failed`, "timeout" after the deadline.
function Gateway:poll(path, opts)
  return poll.run(self, path, opts)
end

-- ---- writing: see gateway/write.lua for the options and the result ----

-- gw:write(kind, args, {base = resource | nil, content = value, …}) -> result. The one way anything is changed.
function Gateway:write(name, args, opts)
  return write.run(self, self:kind(name), args, opts)
end

-- gw:confirm(kind, args, content, result of gw:write [, what = its name in messages]) -> the resource as it is read
-- back. Raises "verify" when that is not the content that was written; members the gateway has added are left alone.
function Gateway:confirm(name, args, content, result, what)
  local kind = self:kind(name)
  return confirm.read_back(self, kind, args, content, result, what or kind.title)
end

-- gw:preview(kind, content, base content | nil) -> {changes, body, hash}: what a write of content would change, what it
-- would send, and the payload hash of that. Sends nothing.
function Gateway:preview(name, content, base)
  local kind = self:kind(name)
  local changes
  if base ~= nil and content ~= nil then
    changes = diff.compare(kinds.comparable(kind, base, content), kinds.comparable(kind, content, base))
  else
    changes = diff.compare(base, content)
  end
  local body = kinds.sendable(kind, content, base)
  return { changes = changes, body = body, hash = body ~= nil and hash.payload(body) or nil }
end

-- gw:dialect() -> {name, hash}: the declaration of every kind, with the project file's fields in it, as one hash.
function Gateway:dialect()
  return { name = self._dialect, hash = kinds.print(self._kinds) }
end

-- gw:remove(kind, args, {base = resource}) -> result.
function Gateway:remove(name, args, opts)
  local copy = merged({ method = "DELETE" }, opts)
  return write.run(self, self:kind(name), args, copy)
end

local function on_path(method)
  return function(self, path, content, opts)
    if method == "DELETE" then content, opts = nil, content end
    local copy = merged({ method = method, content = content }, opts)
    copy.unconditional = copy.unconditional == nil and copy.base == nil or copy.unconditional
    local params = copy.params
    copy.params = nil
    return write.run(self, kinds.anonymous(path), params, copy)
  end
end

-- gw:put_path(path, content [, {base = resource, params, query, headers, action, details, idempotent}]) -> result;
-- without a base the write is unconditional. post_path and patch_path are alike; delete_path takes no content.
Gateway.put_path = on_path "PUT"
Gateway.post_path = on_path "POST"
Gateway.patch_path = on_path "PATCH"
Gateway.delete_path = on_path "DELETE"

-- What its calls wait for just now, for a progress line; nil: for nothing but answers.
function Gateway:_waiting()
  local stats = self._client.stats and self._client:stats()
  local waiting = stats and stats.waiting
  if not waiting then return nil end
  return (waiting.reason == "breaker" and "gateway unavailable, waiting %d s" or "waiting %d s for the rate limit")
    :format(math.ceil(waiting.seconds))
end

-- gw:breaker(family) -> "closed" | "open" | "half_open", what the client knows.
function Gateway:breaker(family)
  local base = self:_base_url()
  return base and http.breaker(base, family).state or "closed"
end

-- ---- what is seen from outside ----

local METHODS = {
  -- A declaration is the dialect's, for everybody.
  kind = function(self, name) return sealed.copy(self:kind(name)) end,
}
for _, name in ipairs {
  "get", "from_listing", "get_path", "request", "pages", "list", "find", "poll", "write", "confirm", "remove",
  "preview", "dialect",
  "put_path", "post_path", "patch_path", "delete_path", "breaker",
} do METHODS[name] = Gateway[name] end

seal = sealed.class("moongate.gateway.handle", METHODS, {
  dry_run = true, on_conflict = true, deadline = true, queue = true, queued = true,
  audit = function(self) return script_audit.given(self.audit) end,
  log = function(self) return sealed.copy(self.log) end,
  base_url = Gateway._base_url,
})

return M
