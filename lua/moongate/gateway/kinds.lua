-- kinds.lua - loads a dialect, lays a user's overrides over it, and answers where a resource of a kind lies.

local errors = require "moongate.error"
local hash = require "moongate.hash"
local json = require "moongate.json"
local merged = require "moongate.merged"
local plain = require "moongate.plain"
local schemas = require "moongate.schemas"

local M = {}

-- The fields of a kind. Anything else is a typing error and refused.
local FIELDS = {
  title = "string",       -- what a message calls it; default: the kind's name
  names = "table",        -- other names that a command line may use: {"models"}
  reads = "string",       -- kind that reads what this one creates
  removable = "boolean",  -- the gateway has a DELETE for it
  columns = "table",      -- members of a resource that a table shows, by name or JSON Pointer; default: a choice
  path = "string",        -- template of one resource, "/a/{b}/c/{d}"; of the collection where POST creates
  item = "string",        -- with create = "POST": template of what it creates, to read it and to look a lost answer up
  made = "table",         -- with item: {parameter of item = member of the answer that created it}
  readable = "boolean",   -- false: there is nothing to read at the path
  list = "string",        -- template of the listing
  listed_by = "table",    -- {member of a listed resource = parameter of the path}: finds one in the listing where its
                          -- own path is not served
  answer = "table",       -- JSON Pointers of a model's text in an answer; default: moongate.router.reply
  healthy = "table",      -- words of a health check, in lower case, that say that all is well
  unhealthy = "table",    -- … that it is not; any other word is "unknown"
  computed = "table",     -- members that the gateway fills, by name or JSON Pointer ("*": each of a list): never
                          -- compared, and sent back as they were read
  content = "string",     -- member of the GET answer that holds what a write takes; "*": its members that the schema
                          -- knows; default: the whole answer
  schema = "any",         -- a schema in moongate/schemas, or the schema itself (a table); default: no check
  limits = "table",       -- limit of the project file -> JSON Pointer of the number in the schema it sets
  lock = "string",        -- etag: If-Match; none: read again and compare before writing
  holds = "string",       -- template of what a write has to itself meanwhile; default: the path that is read
  after = "table",        -- kinds that a plan writes before this one
  create = "string",      -- method that creates: PUT (default) or POST
  update = "string",      -- method that updates: PUT (default) or PATCH
  idempotent = "boolean", -- a POST that may be sent twice
  keyed = "boolean",      -- the gateway honours Idempotency-Key on its POST: a run's own goes along
  scopes = "table",       -- {read = …, write = …}, named when the gateway answers 403
  family = "string",      -- shares a circuit breaker; default: the kind's name
  same = "table",         -- members by which a resource made by POST is found in the listing: {"name"}
  hash = "string",        -- member of a listed resource that holds the payload hash it was made from
  job = "table",          -- what a create begins instead of doing it at once, see JOB_FIELDS
  hints = "table",        -- what to do about refusals: list of {status =, pattern = Lua pattern for the lower-case
                          -- reason, hint =}
  refused = "table",      -- a prompt that a policy refuses: list of {status = number or list of them, code = text,
                          -- pattern = Lua pattern for the lower-case reason}; what a rule names has to be so
  too_long = "table",     -- a prompt that does not fit the model: a list of such rules
  busy = "string",        -- Lua pattern for the error code of a 409 that passes by itself; default "busy"
}

-- A create answers 202 with an id, and a job does the work.
local JOB_FIELDS = {
  path = "string",        -- template of the job; its parameters are members of the answer: "/jobs/{jobId}"
  field = "string",       -- member of the job that holds its state; default "status"
  done = "table",         -- states in which it has ended well
  failed = "table",       -- … and badly
  running = "table",      -- … and in which it goes on; with any other it does, too, but with a warning
  scope = "string",       -- named when the gateway answers 403
  deadline = "number",    -- seconds it may take; default 120
  max_interval = "number", -- seconds between two looks at the most; default 3
}

local CHOICES = {
  lock = { etag = true, none = true },
  create = { PUT = true, POST = true },
  update = { PUT = true, PATCH = true },
}

local function reject(fmt, ...)
  errors.raise { code = "invalid", message = fmt:format(...) }
end

local function check_fields(name, fields, known)
  for key, value in pairs(fields) do
    local want = known[key]
    if not want then reject("kind %q: unknown field %q", name, tostring(key)) end
    if want ~= "any" and type(value) ~= want then
      reject("kind %q: %s is a %s, expected a %s", name, key, type(value), want)
    end
  end
end

local function check_paths(name, fields, keys)
  for _, key in ipairs(keys) do
    if fields[key] and fields[key]:sub(1, 1) ~= "/" then
      reject("kind %q: %s = %q must begin with / (the host comes from the region)", name, key, fields[key])
    end
  end
end

local function check_job(name, job)
  check_fields(name, job, JOB_FIELDS)
  for _, key in ipairs { "path", "done" } do
    if not job[key] then reject("kind %q: %s is missing", name, key) end
  end
  check_paths(name, job, { "path" })
end

local RULE_FIELDS = { status = "any", ["code"] = "string", pattern = "string" }

-- Rules that recognise a failure. A pattern that is none is found now, not with the first failure.
local function check_rules(name, key, rules)
  for _, rule in ipairs(rules) do
    if type(rule) ~= "table" then reject("kind %q: a rule of %s is not a table", name, key) end
    check_fields(name, rule, RULE_FIELDS)
    if next(rule) == nil then reject("kind %q: a rule of %s is empty", name, key) end
    if rule.pattern and not pcall(string.find, "", rule.pattern) then
      reject("kind %q: %q is not a Lua pattern", name, rule.pattern)
    end
  end
end

local function check(name, kind)
  check_fields(name, kind, FIELDS)
  for _, key in ipairs { "refused", "too_long" } do check_rules(name, key, kind[key] or {}) end
  for key, value in pairs(kind) do
    if CHOICES[key] and not CHOICES[key][value] then reject("kind %q: %s = %q is not known", name, key, value) end
  end
  if not kind.path then reject("kind %q: path is missing", name) end
  check_paths(name, kind, { "path", "item", "list", "holds" })
  if kind.job then check_job(name .. ".job", kind.job) end
end

local function override(kind, changes)
  local out = merged(kind, changes)
  return out
end

local function complete(name, kind, limits)
  kind.name = name
  kind.title = kind.title or name
  kind.family = kind.family or name
  kind.lock = kind.lock or "etag"
  kind.create = kind.create or "PUT"
  kind.update = kind.update or "PUT"
  kind.busy = kind.busy or "busy"
  if kind.schema then
    kind.checker = schemas.compile(kind.schema, { pointers = kind.limits, limits = limits })
    kind.defaults = schemas.defaults(kind.schema)
  end
  return kind
end

local names_of = setmetatable({}, { __mode = "k" })
local aliases_of = setmetatable({}, { __mode = "k" })
local declared_of = setmetatable({}, { __mode = "k" })

-- M.names(kinds that M.load gave) -> their names, sorted.
function M.names(loaded) return names_of[loaded] end

-- M.named(kinds that M.load gave, word) -> the name of the kind that a command line calls so, or nil.
function M.named(loaded, word)
  local name = word:lower():gsub("-", "_")
  return rawget(aliases_of[loaded], name)
end

-- M.words(kinds that M.load gave) -> every name that M.named knows.
function M.words(loaded)
  local words = {}
  for word in pairs(aliases_of[loaded]) do words[#words + 1] = word end
  table.sort(words)
  return words
end

-- M.print(kinds that M.load gave) -> SHA-256 of their declarations, the project file's part and limits included.
function M.print(loaded) return hash.sha256(plain.write(declared_of[loaded])) end

-- Every name of every kind, its plural in "s" too -> its own name. A kind's own name wins over other names.
local function aliases(all, names)
  local out = {}
  local function add(alias, name) out[alias] = out[alias] or name end
  for _, name in ipairs(names) do out[name] = name end
  for _, name in ipairs(names) do
    for _, alias in ipairs(all[name].names or {}) do add(alias, name) end
  end
  for _, name in ipairs(names) do add(name .. "s", name) end
  return out
end

-- M.load(dialect, overrides, limits) -> name -> kind. dialect: a name or a table; overrides: as `gateway.kinds` of a
-- project file.
function M.load(dialect, overrides, limits)
  if type(dialect) == "string" then
    local found, loaded = pcall(require, "moongate.dialects." .. dialect)
    if not found then reject("unknown dialect %q", dialect) end
    dialect = loaded
  end
  local all = {}
  for name, kind in pairs(dialect.kinds) do all[name] = override(kind, {}) end
  for name, changes in pairs(overrides or {}) do
    if type(changes) ~= "table" then reject("kind %q: expected a table", tostring(name)) end
    all[name] = override(all[name], changes)
  end
  local names = {}
  for name in pairs(all) do names[#names + 1] = name end
  table.sort(names)
  for name, kind in pairs(all) do check(name, kind) end
  local called, declared = aliases(all, names), { limits = limits or {} }
  for name, kind in pairs(all) do declared[name] = override(kind, {}) end
  for name, kind in pairs(all) do
    -- Schemas are compiled when a kind is first used: a start must not pay for every kind there is.
    all[name] = setmetatable({}, { __call = function() return complete(name, kind, limits) end })
  end
  local kinds = {}
  names_of[kinds], aliases_of[kinds], declared_of[kinds] = names, called, declared
  return setmetatable(kinds, { __index = function(t, name)
    local lazy = all[name]
    if lazy then
      t[name] = lazy()
      return t[name]
    end
  end })
end

-- A kind for a path that no dialect knows.
function M.anonymous(path)
  return complete("gateway", { path = path, title = path, family = "other" })
end

-- A path segment as it is sent; "." and ".." would climb, whatever they are encoded as.
local function segment(kind, name, value)
  value = tostring(value)
  if value == "" or value == "." or value == ".." then
    reject("%s: %s can't be %q in a path", kind.title, name, value)
  end
  return (value:gsub("[^%w%-._~]", function(c) return ("%%%02X"):format(c:byte()) end))
end

-- M.readable(kind) -> the template of the path that one resource is read at.
function M.readable(kind)
  return kind.item or kind.path
end

-- M.locate(kind, template, args) -> {params = the template's parameters, path = the path filled in}.
function M.locate(kind, template, args)
  local params = {}
  local path = template:gsub("{([%w_]+)}", function(name)
    local value = args and args[name]
    if value == nil then reject("%s: %s is not given (path %s)", kind.title, name, template) end
    params[name] = tostring(value)
    return segment(kind, name, value)
  end)
  return { params = params, path = path }
end

-- M.item_path(kind, args) -> the path of the resource that args name; nil where args lack a parameter of it, because
-- the gateway makes the id of what a POST creates.
function M.item_path(kind, args)
  local template = M.readable(kind)
  for name in template:gmatch "{([%w_]+)}" do
    if not args or args[name] == nil then return nil end
  end
  return M.locate(kind, template, args).path
end

-- What the gateway said, in lower case: message, code and details.
local function words_of(err)
  local words = { tostring(err.message), tostring(err.gateway_code or "") }
  for _, detail in ipairs(type(err.details) == "table" and err.details or {}) do
    if type(detail) == "table" then words[#words + 1] = tostring(detail.message) .. " " .. tostring(detail.code) end
  end
  return table.concat(words, " "):lower()
end

-- M.hint(kind, err) -> the kind's hint for this refusal, or nil.
function M.hint(kind, err)
  for _, rule in ipairs(kind and kind.hints or {}) do
    if M.matches({ rule }, err) then return rule.hint end
  end
end

local function has_status(rule, status)
  if type(rule.status) ~= "table" then return rule.status == nil or rule.status == status end
  for _, one in ipairs(rule.status) do
    if one == status then return true end
  end
  return false
end

-- M.matches(rules | nil, err) -> whether the failure is what one of a kind's rules describes. Only an answer is.
function M.matches(rules, err)
  if not err.status then return false end
  local words
  for _, rule in ipairs(rules or {}) do
    if has_status(rule, err.status) and (rule.code == nil or rule.code == err.gateway_code) then
      if not rule.pattern then return true end
      if not words then
        words = words_of(err)
        if type(err.body) == "string" then words = words .. " " .. err.body:lower() end
      end
      if words:find(rule.pattern) then return true end
    end
  end
  return false
end

local RIGHTS = {
  "scope", "permission", "privilege", "%f[%a]role", "authori[sz]", "^answered", "^forbidden%W*$", "^access denied%W*$",
}

-- M.is_scope(err) -> whether a 403 is about the credential's scopes: the gateway says so, or does not say why.
function M.is_scope(err)
  local words = words_of(err):gsub("%s+$", "")
  for _, pattern in ipairs(RIGHTS) do
    if words:find(pattern) then return true end
  end
  return false
end

-- M.content(kind, body) -> the part of an answer that a write takes. An answer without that member is taken to be
-- flat: its members that the schema knows.
function M.content(kind, body)
  if not kind.content or type(body) ~= "table" then return body end
  if kind.content ~= "*" and body[kind.content] ~= nil then return body[kind.content] end
  local known = kind.checker and schemas.properties(kind.schema)
  if not known then return body end
  local out = {}
  for name in pairs(known) do out[name] = body[name] end
  return out
end

-- M.normal(kind, content) -> content with the schema's defaults filled in: what two states are compared as.
function M.normal(kind, content)
  if type(content) ~= "table" or not kind.defaults or next(kind.defaults) == nil then return content end
  local out = merged(kind.defaults, content)
  return out
end

-- ---- what the gateway fills itself ----

local function drop(value, keys, n)
  if type(value) ~= "table" then return end
  local key = keys[n]
  if key == "*" then
    for _, item in pairs(value) do drop(item, keys, n + 1) end
  elseif n == #keys then
    value[key] = nil
  else
    drop(value[key], keys, n + 1)
  end
end

local function keys_of(pointer)
  if pointer:sub(1, 1) ~= "/" then return { pointer } end
  local keys = {}
  for key in pointer:gmatch "/([^/]+)" do keys[#keys + 1] = (key:gsub("~1", "/"):gsub("~0", "~")) end
  return keys
end

-- A copy of value, without the members that a closed schema does not know and `other` does not have.
local function pruned(value, other, schema)
  if type(value) ~= "table" then return value end
  other, schema = type(other) == "table" and other or {}, type(schema) == "table" and schema or {}
  if json.is_array(value) or #value > 0 then
    local out = json.array {}
    for i, item in ipairs(value) do out[i] = pruned(item, other[i], schema.items) end
    return out
  end
  local out, known = {}, type(schema.properties) == "table" and schema.properties or {}
  for k, v in pairs(value) do
    if known[k] ~= nil or schema.additionalProperties ~= false or other[k] ~= nil then
      out[k] = pruned(v, other[k], known[k])
    end
  end
  return out
end

-- M.comparable(kind, content, other) -> content as it is compared with other: defaults filled in, without what the
-- gateway fills itself.
function M.comparable(kind, content, other)
  if type(content) ~= "table" then return content end
  local out = pruned(M.normal(kind, content), other, kind.schema and schemas.table(kind.schema))
  for _, pointer in ipairs(kind.computed or {}) do drop(out, keys_of(pointer), 1) end
  return out
end

local function carry(to, from, keys, n)
  if type(to) ~= "table" or type(from) ~= "table" then return end
  local key = keys[n]
  if key == "*" then
    for i, item in pairs(to) do carry(item, from[i], keys, n + 1) end
  elseif n == #keys then
    if to[key] == nil then to[key] = from[key] end
  else
    carry(to[key], from[key], keys, n + 1)
  end
end

-- M.sendable(kind, content, base) -> content with the computed members of base, the content that was read.
function M.sendable(kind, content, base)
  if not kind.computed or type(content) ~= "table" or type(base) ~= "table" then return content end
  local out = pruned(content, content)
  for _, pointer in ipairs(kind.computed) do carry(out, base, keys_of(pointer), 1) end
  return out
end

return M
