-- gateway.lua - a gateway's resources by kind, and the generic verbs on any path. Reads are here; every write goes
-- through gateway/write.lua. All of it raises error objects.
--
-- A resource is {kind, args, content, etag, status, body, correlation_id, stale, age}: content is what a PUT takes
-- and may be changed in place; the state that was read is kept apart, so that a write knows what was changed.

local confirm = require "moongate.gateway.confirm"
local errors = require "moongate.error"
local find = require "moongate.gateway.find"
local http = require "moongate.http"
local json = require "moongate.json"
local kinds = require "moongate.gateway.kinds"
local write = require "moongate.gateway.write"

local M = {}

local Gateway = {}
Gateway.__index = Gateway

local MAX_PAGES = 10000

-- ---- the cache: last seen states, for reads while the breaker is open. get(key) -> entry | nil, put(key, entry |
-- nil) ----

local function memory_cache()
  local entries = {}
  return {
    get = function(_, key) return entries[key] end,
    put = function(_, key, entry) entries[key] = entry end,
  }
end

-- ---- opening ----

local OPTIONS = {
  dialect = true, kinds = true, client = true, limits = true, audit = true, log = true, cache = true, dry_run = true,
  on_conflict = true, deadline = true, clock = true, metrics = true,
}

local POLICIES = { fail = true, rebase = true, overwrite = true }

-- gateway.open{dialect = "genesys" | table, kinds = overrides, client = http client, limits = of the project file,
-- audit =, log =, cache =,
--   dry_run = false, on_conflict = "fail" | "rebase" | "overwrite", deadline = seconds a write may take, busy waits
--   included}
-- metrics: a registry that counts the writes; nil for none. audit, log, cache and clock (sleep, monotonic, random)
-- have the session's for default; tests pass their own.
function M.open(opts)
  for key in pairs(opts) do
    if not OPTIONS[key] then error(("gateway.open: unknown option '%s'"):format(tostring(key)), 2) end
  end
  local policy = opts.on_conflict or "fail"
  if not POLICIES[policy] then error(("gateway.open: on_conflict '%s' is not known"):format(tostring(policy)), 2) end
  return setmetatable({
    _client = opts.client or error("gateway.open: client is missing", 2),
    _kinds = kinds.load(opts.dialect or "genesys", opts.kinds, opts.limits),
    _cache = opts.cache or memory_cache(),
    _originals = setmetatable({}, { __mode = "k" }), -- resource -> the text it was read from
    audit = opts.audit or require "moongate.audit",
    log = opts.log or require "moongate.log",
    clock = opts.clock or require "moongate.gateway.clock",
    measure = opts.metrics and require("moongate.metrics.writes").new(opts.metrics) or nil,
    dry_run = opts.dry_run or false,
    on_conflict = policy,
    deadline = opts.deadline or 30,
  }, Gateway)
end

-- gw:kind(name) -> the declaration; raises for one that the dialect does not have.
function Gateway:kind(name)
  if type(name) == "table" then return name end
  return self._kinds[name]
    or error(errors.new { code = "invalid", message = ("the dialect has no kind %q"):format(tostring(name)) }, 0)
end

-- ---- sending ----

local function add_hint(err, kind, access)
  if err.status == 403 and kind and kind.scopes and kind.scopes[access] then
    err.hint = ("the OAuth client needs the scope %s"):format(kind.scopes[access])
  elseif err.status == 404 and access == "write" then
    err.hint = "the gateway does not know the path: check the ids in it"
  end
  return err
end

-- One request of the client -> response | nil, err. A redirect is a failure: it is not followed.
function Gateway:_call(request)
  local response, err = self._client:request(request)
  if not response or response.status < 300 then return response, err end
  for _, status in ipairs(request.ok_status or {}) do
    if status == response.status then return response end
  end
  return nil, errors.new {
    code = "http", status = response.status, method = request.method, path = request.path,
    attempts = #response.attempts, correlation_id = response.correlation_id, outcome = "final",
    message = ("answered %d: redirects are not followed"):format(response.status),
    hint = "check the region or base URL",
  }
end

-- As _call, but raises.
function Gateway:_send(request, kind, access)
  local response, err = self:_call(request)
  if not response then error(add_hint(err, kind, access or "read"), 0) end
  return response
end

local function decoded(response, method, path)
  if response.body == "" then return nil end
  local body, err = response:json()
  if body == nil then
    error(errors.new {
      code = "protocol", method = method, path = path, status = response.status,
      correlation_id = response.correlation_id,
      message = ("the answer is not JSON: %s"):format(err and err.message or "empty"),
    }, 0)
  end
  return body
end

-- ---- reading one ----

function Gateway:_resource(kind, args, entry, stale)
  local body = entry.text ~= "" and assert(json.decode(entry.text)) or nil
  local resource = {
    kind = kind.name, args = args, content = kinds.content(kind, body), body = body, etag = entry.etag,
    status = type(body) == "table" and type(body.status) == "string" and body.status or nil,
    correlation_id = entry.correlation_id, stale = stale or false,
    age = stale and self.clock.monotonic() - entry.at or 0,
  }
  self._originals[resource] = { kind = kind, text = entry.text }
  return resource
end

-- The content a resource had when it was read, whatever became of resource.content since.
function Gateway:_original(resource)
  local entry = self._originals[resource]
  if not entry then return resource.content end
  return kinds.content(entry.kind, entry.text ~= "" and assert(json.decode(entry.text)) or nil)
end

function Gateway:_read(kind, args, opts)
  local path = kinds.readable(kind)
  local place = kinds.locate(kind, path, args)
  local response, err = self:_call {
    method = "GET", path = path, params = place.params, query = opts.query, headers = opts.headers,
    family = kind.family, deadline = opts.deadline, ok_status = { 404 },
  }
  if not response then
    local entry = err.code == "breaker_open" and not opts.fresh and not opts.query and self._cache:get(place.path)
    if not entry then error(add_hint(err, kind, "read"), 0) end
    self.log.warn("%s: the gateway is unavailable; answering from the state read %.0f s ago", place.path,
      self.clock.monotonic() - entry.at)
    return self:_resource(kind, args, entry, true)
  end
  if response.status == 404 then
    self._cache:put(place.path, nil)
    return nil
  end
  decoded(response, "GET", place.path)
  local entry = {
    text = response.body, etag = response.headers["etag"], correlation_id = response.correlation_id,
    at = self.clock.monotonic(),
  }
  if not opts.query then self._cache:put(place.path, entry) end
  return self:_resource(kind, args, entry, false)
end

local READ_OPTIONS = { query = true, headers = true, deadline = true, fresh = true, params = true }

local function check_options(what, opts, known)
  for key in pairs(opts or {}) do
    if not known[key] then error(("%s: unknown option '%s'"):format(what, tostring(key)), 3) end
  end
  return opts or {}
end

-- gw:get(kind, args [, {fresh = never from the cache, deadline, query, headers}]) -> resource, or nil when there is
-- none (404).
function Gateway:get(name, args, opts)
  opts = check_options("gateway:get", opts, READ_OPTIONS)
  return self:_read(self:kind(name), args, opts)
end

-- gw:get_path(path [, {params =, …}]) -> resource, or nil. As get, on any path.
function Gateway:get_path(path, opts)
  opts = check_options("gateway:get_path", opts, READ_OPTIONS)
  return self:_read(kinds.anonymous(path), opts.params, opts)
end

-- gw:request{method, path, params, query, headers, json | body, read = true, …} -> response. For what is no resource.
-- Anything but GET and HEAD must say read = true (a search by POST); writes go through write, put_path, post_path,
-- patch_path, delete_path.
function Gateway:request(opts)
  local request = {}
  for k, v in pairs(opts) do request[k] = v end
  local method = request.method or "GET"
  if method ~= "GET" and method ~= "HEAD" and not request.read then
    error(("gateway:request: %s changes something; use gateway:write or %s_path (or say read = true)"):format(method,
      method:lower()), 2)
  end
  request.method, request.read = method, nil
  request.family = request.family or "other"
  return self:_send(request)
end

-- ---- listings ----

-- The path and query of a page's nextUri. A full URL must stay on the gateway: the credential must not travel.
local function next_path(client, uri)
  if uri:sub(1, 1) == "/" and uri:sub(1, 2) ~= "//" then return uri end
  local base = client.base_url
  if base and uri:sub(1, #base) == base and uri:sub(#base + 1, #base + 1) == "/" then return uri:sub(#base + 1) end
  error(errors.new { code = "protocol", message = ("the listing's nextUri leaves the gateway: %s"):format(uri) }, 0)
end

local function more_pages(body, number)
  if math.type(body.pageCount) == "integer" then return number < body.pageCount end
  if math.type(body.total) == "integer" and math.type(body.pageSize) == "integer" then
    return number * body.pageSize < body.total
  end
  return false
end

-- kind: whose listing it is, for hints; or nil.
local function pages(self, path, opts, kind)
  local request = {
    method = "GET", path = path, params = opts.params, query = opts.query, family = opts.family or "other",
    deadline = opts.deadline,
  }
  local number, seen, done = 1, {}, false
  return function()
    if done then return nil end
    if number > MAX_PAGES then
      error(errors.new { code = "protocol", method = "GET", path = path, message = "the listing does not end" }, 0)
    end
    local body = decoded(self:_send(request, kind), "GET", request.path)
    local uri = type(body) == "table" and body.nextUri
    if type(uri) == "string" and uri ~= "" then
      local place = next_path(self._client, uri)
      if seen[place] then
        error(errors.new {
          code = "protocol", method = "GET", path = place, message = "the listing goes in a circle",
        }, 0)
      end
      seen[place] = true
      request = { method = "GET", path = place, family = request.family, deadline = opts.deadline }
    elseif type(body) == "table" and uri == nil and more_pages(body, number) then
      local query = {}
      for k, v in pairs(opts.query or {}) do query[k] = v end
      query.pageNumber = number + 1
      request.query = query
    else
      done = true
    end
    number = number + 1
    return body
  end
end

-- gw:pages(path [, {params, query, family, deadline}]) -> iterator over pages (the decoded answers), by nextUri, else
-- by pageNumber.
function Gateway:pages(path, opts)
  opts = check_options("gateway:pages", opts, { params = true, query = true, family = true, deadline = true })
  return pages(self, path, opts)
end

-- gw:list(kind, args [, {page_size =, query =, deadline =}]) -> iterator over pages.
function Gateway:list(name, args, opts)
  opts = check_options("gateway:list", opts, { page_size = true, query = true, deadline = true })
  local kind = self:kind(name)
  if not kind.list then error(("gateway:list: kind '%s' has no listing"):format(kind.name), 2) end
  local query = {}
  for k, v in pairs(opts.query or {}) do query[k] = v end
  query.pageSize = opts.page_size or query.pageSize
  return pages(self, kind.list, {
    params = kinds.locate(kind, kind.list, args).params, query = next(query) and query or nil, family = kind.family,
    deadline = opts.deadline,
  }, kind)
end

-- gw:find(kind, args, content [, {among = what an earlier gw:find gave as its second result}])
--   -> matches, listed. The listed resources that have the same `same` members as content: {resource, same_content =
--   true | false | nil (the listing does not tell)}. For kinds whose resources get their ids from the gateway.
function Gateway:find(name, args, content, opts)
  opts = check_options("gateway:find", opts, { among = true })
  return find.matches(self, self:kind(name), args, content, opts.among)
end

-- ---- waiting for something ----

-- gw:poll(path, {field = "status", done = {…}, failed = {…}, running = {…}, deadline = 120, interval = 0.25,
-- max_interval = 3, params, query, watch = function(state)})
-- -> the answer whose field is one of `done`. The first look is at once, then ever later; a 429 waits; a state nobody
-- named counts as still running, with a warning. Raises "failed" for one of `failed`, "timeout" after the deadline.
local POLL_OPTIONS = {
  field = true, done = true, failed = true, running = true, deadline = true, interval = true, max_interval = true,
  params = true, query = true, family = true, watch = true,
}

local function set_of(list)
  local set = {}
  for _, v in ipairs(list or {}) do set[v] = true end
  return set
end

function Gateway:poll(path, opts)
  opts = check_options("gateway:poll", opts, POLL_OPTIONS)
  local done, failed, running = set_of(opts.done), set_of(opts.failed), set_of(opts.running)
  local field, clock = opts.field or "status", self.clock
  local place = kinds.locate({ title = "poll" }, path, opts.params).path -- as it is told
  local limit = opts.deadline or 120
  local deadline = clock.monotonic() + limit
  local wait, warned, state = opts.interval or 0.25, {}, nil
  local function too_late()
    error(errors.new {
      code = "timeout", method = "GET", path = place,
      message = ("still %s after %g s"):format(tostring(state or "not known"), limit),
    }, 0)
  end
  while true do
    local left = deadline - clock.monotonic()
    if left <= 0 then too_late() end
    local response, err = self:_call {
      method = "GET", path = path, params = opts.params, query = opts.query, family = opts.family or "other",
      deadline = math.min(left, self.deadline),
    }
    local pause = wait
    if response then
      local body = decoded(response, "GET", place)
      state = type(body) == "table" and body[field] or nil
      if opts.watch then opts.watch(state) end
      if done[state] then return body end
      if state ~= nil and failed[state] then
        error(errors.new {
          code = "failed", method = "GET", path = place, correlation_id = response.correlation_id,
          message = ("%s is %s"):format(field, tostring(state)), details = type(body) == "table" and body.errors or nil,
        }, 0)
      end
      if state ~= nil and opts.running and not running[state] and not warned[state] then
        warned[state] = true
        self.log.warn("%s: %s %s is not known; taken as still running", place, field, tostring(state))
      end
    elseif err.status == 429 then
      pause = math.max(wait, tonumber(err.retry_after) or 0)
    else
      error(err, 0)
    end
    if clock.monotonic() + pause >= deadline then too_late() end
    clock.sleep(pause)
    wait = math.min(wait * 2, opts.max_interval or 3)
  end
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

-- gw:remove(kind, args, {base = resource}) -> result.
function Gateway:remove(name, args, opts)
  local copy = { method = "DELETE" }
  for k, v in pairs(opts or {}) do copy[k] = v end
  return write.run(self, self:kind(name), args, copy)
end

local function on_path(method)
  return function(self, path, content, opts)
    if method == "DELETE" then content, opts = nil, content end
    local copy = { method = method, content = content }
    for k, v in pairs(opts or {}) do copy[k] = v end
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

-- gw:breaker(family) -> "closed" | "open" | "half_open", what the client knows.
function Gateway:breaker(family)
  local base = self._client.base_url
  return base and http.breaker(base, family).state or "closed"
end

return M
