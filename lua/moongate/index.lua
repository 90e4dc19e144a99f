-- index.lua - vector-store indexes: configuration files read and checked, one index put, read back and compared.

local diff = require "moongate.diff"
local errors = require "moongate.error"
local fs = require "moongate.fs"
local json = require "moongate.json"
local locate = require "moongate.locate"
local schemas = require "moongate.schemas"
local suggest = require "moongate.suggest"

local M = {}

-- Limits, and what a project file may set instead (limits = { dimensions = 8192 }).
M.LIMITS = {
  dimensions = 4096,                -- of any index
  high_precision_dimensions = 2048, -- of a cosine index with precision "high"
  index_file_bytes = 1 << 20,
}

local PRECISIONS = { standard = true, high = true }
local MAX_FILES = 10000

local function limits_of(opts)
  local out = {}
  for name, value in pairs(M.LIMITS) do out[name] = opts.limits and opts.limits[name] or value end
  return out
end

-- ---- faults: {file, line, pointer, field, message, where}; collected, and raised together ----

local function add(faults, file, pointer, message, line)
  faults[#faults + 1] = {
    file = file, line = line, pointer = pointer, field = pointer and diff.path(pointer) or nil, message = message,
    where = line and ("%s:%d"):format(file, line) or file,
  }
end

local function raise(faults)
  local seen, files = {}, 0
  for _, f in ipairs(faults) do
    files = files + (seen[f.file] and 0 or 1)
    seen[f.file] = true
  end
  error(errors.new {
    code = "invalid", details = faults, outcome = "not_sent",
    message = ("%d fault%s in %s; nothing was sent"):format(#faults, #faults == 1 and "" or "s",
      files == 1 and faults[1].file or files .. " files"),
  }, 0)
end

-- ---- the rules that no schema can say ----

local function loopback(host)
  return host == "localhost" or host == "[::1]" or host:find("^127%.%d+%.%d+%.%d+$") ~= nil
end

-- What is wrong with a URL that the gateway is to call, or nil.
local function url_fault(url)
  local scheme, rest = url:match("^(%a[%w+.-]*)://(.*)$")
  if not scheme then return "must be an absolute URL, https://host/path" end
  scheme = scheme:lower()
  local authority = rest:match("^[^/?#]*")
  if authority:find("@", 1, true) then return "must not hold a user name or password" end
  local host = (authority:match("^(%[[%x:.]+%])") or authority:match("^[^:]*")):lower()
  if host == "" then return "has no host" end
  if scheme == "https" or (scheme == "http" and loopback(host)) then return nil end
  if scheme == "http" then return "must be https (http is for a loopback address only)" end
  return ("must be https, not %s"):format(scheme)
end

local function id_fault(id)
  if id == "." or id == ".." then return "can't be '.' or '..': it is a part of a path" end
  if id:find("%c") then return "must not hold control characters" end
end

local function rules(config, precision, limits, report)
  local fault = type(config.indexId) == "string" and id_fault(config.indexId)
  if fault then report("/indexId", fault) end
  local n = config.dimensions
  if math.type(n) and precision == "high" and config.similarityMetric == "cosine"
    and n > limits.high_precision_dimensions and n <= limits.dimensions then
    report("/dimensions", ("must be at most %d for cosine on a high-precision index, not %s"):format(
      limits.high_precision_dimensions, diff.show(n)))
  end
  fault = type(config.webhookSyncUrl) == "string" and url_fault(config.webhookSyncUrl)
  if fault then report("/webhookSyncUrl", fault) end
end

-- ---- one document ----

local function pointer_of(name)
  return "/" .. name:gsub("~", "~0"):gsub("/", "~1")
end

local function is_object(v)
  return type(v) == "table" and not json.is_array(v)
end

-- The order of the text, then that in which they were found.
local function in_order(found, text)
  for n, f in ipairs(found) do f.line, f.n = text and locate.line(text, f.pointer) or nil, n end
  table.sort(found, function(a, b)
    if a.line ~= b.line then return a.line < b.line end
    return a.n < b.n
  end)
end

-- The document without `precision`, which is not sent, and what precision holds: the caller's, else the document's,
-- else "standard".
local function split(document, wanted, report)
  if not is_object(document) then return document, wanted or "standard" end
  local config = {}
  for k, v in pairs(document) do config[k] = v end
  config.precision = nil
  local stated = document.precision
  if stated ~= nil and not PRECISIONS[stated] then
    report("/precision", ('must be "standard" or "high", not %s'):format(diff.show(stated)))
  end
  return config, wanted or stated or "standard"
end

-- Members that are missing, and members that an index does not have: each is a fault at its own place.
local function member_faults(config, schema, report)
  local known = {}
  for name in pairs(schema.properties) do known[#known + 1] = name end
  table.sort(known)
  for _, name in ipairs(schema.required) do
    if config[name] == nil then report("/" .. name, "is missing") end
  end
  local unknown = {}
  for name in pairs(config) do
    if schema.properties[name] == nil then unknown[#unknown + 1] = name end
  end
  table.sort(unknown)
  for _, name in ipairs(unknown) do
    report(pointer_of(name), "is not a field of an index configuration" .. suggest.hint(name, known))
  end
end

local BY_MEMBER = { required = true, additionalProperties = true }

-- M.check(document [, {precision, limits, text, file}]) -> config as it is sent, precision; or nil, faults. text is
-- the document's source, for line numbers.
function M.check(document, opts)
  opts = opts or {}
  local limits, found, seen = limits_of(opts), {}, {}
  local function report(pointer, message)
    if seen[pointer] then return end -- a rule adds nothing where the schema has found fault
    seen[pointer] = true
    found[#found + 1] = { pointer = pointer, message = message }
  end
  local config, precision = split(document, opts.precision, report)
  local schema = schemas.compile("index", {
    pointers = { dimensions = "/properties/dimensions/maximum" }, limits = limits,
  })
  local valid, faults = schema:check(config)
  for _, f in ipairs(not valid and faults or {}) do
    if not BY_MEMBER[f.keyword] then report(f.pointer, f.message) end
  end
  if is_object(config) then
    member_faults(config, schemas.table("index"), report)
    rules(config, precision, limits, report)
  end
  if #found == 0 then return config, precision end
  in_order(found, opts.text)
  local list = {}
  for _, f in ipairs(found) do add(list, opts.file or "document", f.pointer, f.message, f.line) end
  return nil, list
end

-- ---- files ----

local READ_FAULTS = {
  not_found = "there is no such file",
  denied = "can't be read: permission denied",
  invalid = "is no regular file",
}

local function size(bytes)
  return bytes >= 1 << 20 and ("%.3g MiB"):format(bytes / (1 << 20)) or ("%d bytes"):format(bytes)
end

local function read(path, limits, faults)
  local info = fs.stat(path)
  if info and info.type == "directory" then
    return add(faults, path, nil, "is a folder; an index configuration is a JSON file")
  end
  local text, err = fs.read(path, limits.index_file_bytes)
  if text then return text end
  if err.code == "too_large" then
    return add(faults, path, nil, ("is too large for an index configuration: more than %s"):format(
      size(limits.index_file_bytes)))
  end
  add(faults, path, nil, READ_FAULTS[err.code] or err.message)
end

-- -> {file, config, precision} or nil, and the indexId where one could be read.
local function load_one(path, opts, faults)
  local text = read(path, limits_of(opts), faults)
  if not text then return nil end
  local document, err = json.decode(text, { safe_integers = true })
  if document == nil then
    return add(faults, path, nil, "is not valid JSON: " .. err.message, err.line)
  end
  local config, more = M.check(document, { precision = opts.precision, limits = opts.limits, text = text, file = path })
  if not config then
    table.move(more, 1, #more, #faults + 1, faults)
    return nil, is_object(document) and document.indexId or nil
  end
  return { file = path, config = config, precision = more }, config.indexId
end

local function json_files(folder, faults)
  local names, err = fs.list(folder)
  if not names then
    add(faults, folder, nil, READ_FAULTS[err.code] or err.message)
    return {}
  end
  local files = {}
  table.sort(names)
  for _, name in ipairs(names) do
    if name:find("%.json$") and name:sub(1, 1) ~= "." then files[#files + 1] = folder:gsub("/*$", "") .. "/" .. name end
  end
  if #files == 0 then add(faults, folder, nil, "is a folder with no .json file in it") end
  return files
end

local function expand(paths, faults)
  local files = {}
  for _, path in ipairs(paths) do
    local info = path ~= "" and fs.stat(path)
    if path == "" then
      add(faults, '""', nil, "is the name of no file")
    elseif info and info.type == "directory" then
      local found = json_files(path, faults)
      table.move(found, 1, #found, #files + 1, files)
    else
      files[#files + 1] = path
    end
  end
  if #files > MAX_FILES then
    add(faults, files[MAX_FILES + 1], nil, ("is one file too many: at most %d in one go"):format(MAX_FILES))
    raise(faults)
  end
  return files
end

local OPTIONS = { precision = true, limits = true }

local function check_options(what, opts)
  for key in pairs(opts or {}) do
    if not OPTIONS[key] then error(("%s: unknown option '%s'"):format(what, tostring(key)), 3) end
  end
  if opts and opts.precision ~= nil and not PRECISIONS[opts.precision] then
    error(('%s: precision must be "standard" or "high", not %q'):format(what, tostring(opts.precision)), 3)
  end
  return opts or {}
end

-- M.load_all(paths [, {precision, limits}]) -> list of {file, config, precision} in the order given; a folder stands
-- for the *.json files in it, by name. Raises one error, "invalid", whose details are all faults of all files; an
-- indexId that two files share is one.
function M.load_all(paths, opts)
  opts = check_options("index.load_all", opts)
  local faults, list, owner = {}, {}, {}
  for _, path in ipairs(expand(paths, faults)) do
    local item, id = load_one(path, opts, faults)
    list[#list + 1] = item
    if type(id) == "string" and owner[id] then
      add(faults, path, "/indexId", ("%q is the indexId of %s too"):format(id, owner[id]))
    elseif type(id) == "string" then
      owner[id] = path
    end
  end
  if #faults > 0 then raise(faults) end
  return list
end

-- M.load(path [, {precision, limits}]) -> config as it is sent, precision. Raises as load_all does.
function M.load(path, opts)
  opts = check_options("index.load", opts)
  local faults = {}
  local item = load_one(path, opts, faults)
  if not item then raise(faults) end
  return item.config, item.precision
end

-- ---- on the gateway ----

-- Where an index lies: args may be a workflow's own (vector_store, and the config's indexId).
local function place_of(args, config)
  return {
    vectorStoreId = args.vectorStoreId or args.vector_store,
    indexId = args.indexId or (config and config.indexId),
  }
end

-- What the audit event `index_update` adds once the gateway has answered.
local function audit_outcome(result)
  local body = result and type(result.body) == "table" and result.body or {}
  return { retrieval_precision = body.retrievalPrecision, index_status = body.status, syncEventId = body.syncEventId }
end

-- M.get(gateway, args, config [, opts]) -> resource or nil, as gateway:get.
function M.get(gateway, args, config, opts)
  return gateway:get("index", place_of(args, config), opts)
end

-- M.put(gateway, args, config, live [, opts of gateway:write]) -> the result of gateway:write, and in it what the
-- gateway says of the index: id, index_status, updatedAt, syncEventId, retrievalPrecision. live: what get gave, nil
-- to create.
function M.put(gateway, args, config, live, opts)
  local place = place_of(args, config)
  local request = {
    base = live, content = config, action = "index_update", outcome_details = audit_outcome,
    details = {
      indexId = config.indexId, vector_store_id = place.vectorStoreId, dimensions = config.dimensions,
      similarity_metric = config.similarityMetric,
    },
  }
  for k, v in pairs(opts or {}) do request[k] = v end
  local result = gateway:write("index", place, request)
  local body = type(result.body) == "table" and result.body or live and live.body or {}
  result.id = body.id or config.indexId
  result.index_status, result.updatedAt = body.status, body.updatedAt
  result.syncEventId, result.retrievalPrecision = body.syncEventId, body.retrievalPrecision
  return result
end

-- M.confirm(gateway, args, config, result) -> the index as it is read back. Raises "verify" when that is not what was
-- written. Members that the gateway has added by itself are left alone.
function M.confirm(gateway, args, config, result)
  local now = M.get(gateway, args, config, { fresh = true })
  local details = {}
  for _, c in ipairs(now and diff.compare(config, now.content) or {}) do
    if c.op ~= "add" then
      details[#details + 1] = {
        pointer = c.pointer, field = diff.path(c.pointer),
        message = ("written %s, read back %s"):format(diff.show(c.from), diff.show(c.to)),
      }
    end
  end
  if now and #details == 0 then return now end
  local moved = now and result.etag and now.etag ~= result.etag
  error(errors.new {
    code = "verify", details = details, method = "GET", correlation_id = now and now.correlation_id or nil,
    message = ("index %s was written, but %s%s"):format(config.indexId,
      now and "reads back otherwise" or "is not there when read back",
      moved and " (its ETag has changed: somebody wrote after us)" or ""),
    hint = "look at what the gateway holds before writing again",
  }, 0)
end

return M
