-- api: send one request to the gateway with the session's credentials, and print the answer.
--
-- A read prints what the gateway answers. A write goes the way of every write: audited, retried where safe, and shown
-- only in a dry run.

local answer = require "moongate.gateway.answer"
local diff = require "moongate.diff"
local documents = require "moongate.documents"
local errors = require "moongate.error"
local indented = require "moongate.indented"
local json = require "moongate.json"
local plain = require "moongate.plain"
local workflow = require "moongate.workflow"

local BODY_MAX = 64 << 20 -- bytes
local METHODS = { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE" }
local WRITES = { POST = "post_path", PUT = "put_path", PATCH = "patch_path", DELETE = "delete_path" }

local function usage(fmt, ...)
  errors.raise { code = "usage", message = fmt:format(...), hint = "See `moongate help api`." }
end

-- ---- what is sent ----

-- `moongate api /path` is a GET.
local function method_and_path(args)
  local words = args.request
  if #words > 2 then usage("too many arguments: %s", table.concat(words, " ", 3)) end
  local method, path = words[1], words[2]
  if not path then method, path = "GET", words[1] end
  method = method:upper()
  for _, known in ipairs(METHODS) do
    if method == known then
      if path:sub(1, 1) ~= "/" then usage("the path %q must begin with /: the host is the gateway's", path) end
      return method, (path:gsub("[{}]", { ["{"] = "%7B", ["}"] = "%7D" })) -- nothing in it is a parameter
    end
  end
  usage("unknown method %q; one of %s", method, table.concat(METHODS, ", "))
end

local WORDS = { ["true"] = true, ["false"] = false, null = json.null }

-- "a=1" -> "a", 1: true, false, null and whole numbers are themselves, everything else is text.
local function pair(flag, text, raw)
  local name, value = text:match "^([^=]+)=(.*)$"
  if not name then usage("--%s needs NAME=VALUE, not %q", flag, text) end
  if raw then return name, value end
  if WORDS[value] ~= nil then return name, WORDS[value] end
  return name, value:find "^-?%d+$" and math.tointeger(value) or value
end

local function fields_of(args)
  local fields
  for _, flag in ipairs { "field", "raw-field" } do
    for _, text in ipairs(args[(flag:gsub("-", "_"))] or {}) do
      fields = fields or {}
      local name, value = pair(flag, text, flag == "raw-field")
      if fields[name] ~= nil then usage("the field %q is given twice", name) end
      fields[name] = value
    end
  end
  return fields
end

local function headers_of(args)
  local headers
  for _, text in ipairs(args.header or {}) do
    local name, value = text:match "^([^:%s]+):%s*(.*)$"
    if not name then usage("--header needs 'NAME: VALUE', not %q", text) end
    headers = headers or {}
    headers[name] = value
  end
  return headers
end

-- The body: --input's JSON, or the fields; not both.
local function content_of(args, fields)
  if not args.input then return fields end
  if fields then usage "--input and --field can't be used together" end
  local faults = {}
  local text = documents.read(args.input, { what = "a body", max_bytes = BODY_MAX }, faults)
  local content = text and documents.decode(args.input, text, faults)
  if #faults > 0 then documents.raise(faults) end
  return content
end

local function query_of(fields)
  local query
  for name, value in pairs(fields or {}) do
    query = query or {}
    query[name] = value == json.null and "" or type(value) == "boolean" and tostring(value) or value
  end
  return query
end

-- ---- what is printed ----

-- The value at a JSON Pointer; raises when it is missing.
local function at(value, pointer)
  if pointer == "" then return value end
  if pointer:sub(1, 1) ~= "/" then usage("--pointer needs a JSON Pointer such as /entities/0/id, not %q", pointer) end
  for token in pointer:gmatch "/([^/]*)" do
    token = token:gsub("~1", "/"):gsub("~0", "~")
    local key = json.is_array(value) and (token:match "^%d+$" and math.tointeger(token) + 1 or nil) or token
    local member = type(value) == "table" and key and value[key]
    if member == nil or member == false and type(value) ~= "table" then
      errors.raise { code = "not_found", message = ("the answer has nothing at %s"):format(pointer) }
    end
    value = member
  end
  return value
end

local function shown(body)
  if body == nil then return {} end
  if type(body) == "string" then return { body } end
  if type(body) == "table" then return { indented.json(body) } end
  return { plain.write(body) }
end

local function header_lines(result)
  local lines = {}
  for name, value in pairs(result.headers) do lines[#lines + 1] = ("%s: %s"):format(name, value) end
  table.sort(lines)
  table.insert(lines, 1, ("status: %d"):format(result.http_status))
  return lines
end

local function selected(args, body)
  if args.pointer then return at(body, args.pointer) end
  return body
end

-- ---- the requests ----

local function paginate(run, path, query)
  local all = json.array {}
  for page in run.gateway:pages(path, { query = query }) do
    local items = answer.items(page)
    table.move(items, 1, #items, #all + 1, all)
  end
  return all
end

local function read(run, args, method, path)
  if args.input then usage("%s takes no body; --field goes into the query", method) end
  local query, headers = query_of(fields_of(args)), headers_of(args)
  if args.paginate then
    if method ~= "GET" or headers then usage "--paginate is for GET without --header" end
    return { body = paginate(run, path, query) }
  end
  local response = run.gateway:request { method = method, path = path, query = query, headers = headers }
  local body
  if response.body ~= "" then
    body = plain.decode(response.body)
    if body == nil then body = response.body end
  end
  local named = {}
  for name, value in pairs(response.headers) do named[name] = value end
  return { http_status = response.status, headers = named, body = body, correlation_id = response.correlation_id }
end

local function write(run, args, method, path)
  if args.paginate then usage "--paginate is for GET" end
  local content = content_of(args, fields_of(args))
  if method == "DELETE" and content ~= nil then usage "DELETE takes no body" end
  if method ~= "DELETE" and content == nil then content = {} end
  local question = ("%s %s?"):format(method, path)
  if method == "DELETE" and not args.yes and not run:confirm(question) then
    errors.raise { code = "denied", message = "not confirmed; nothing was sent" }
  end
  local options = { headers = headers_of(args), idempotency_key = args.idempotency_key }
  local result = run:step(("%s %s"):format(method, path), function()
    local send = run.gateway[WRITES[method]]
    local done
    if method == "DELETE" then
      done = send(run.gateway, path, options)
    else
      done = send(run.gateway, path, content, options)
    end
    done.response = nil
    return done
  end)
  return {
    status = result.status, changes = result.status == "planned" and result.changes or nil,
    http_status = result.http_status, body = result.body, etag = result.etag,
    correlation_id = result.correlation_id, audit_seq = result.audit_seq,
  }
end

return workflow.define {
  name = "api",
  summary = "send one request to the gateway with your credentials",
  description = {
    "PATH begins with /; without METHOD it is a GET. --field NAME=VALUE fills the query of a GET and the JSON body of",
    "the others (true, false, null and whole numbers as such; --raw-field: text). --input takes the body from a file.",
    "Writes are audited. A POST is retried only where the gateway has not processed it, or with --idempotency-key. A",
    "DELETE asks on a terminal and needs --yes elsewhere. The answer's body is printed as indented JSON; --json adds",
    "status and headers.",
  },
  author = "moongate",
  categories = { "destructive" },
  args = { { "request", "METHOD and PATH; or a path alone, for a GET", repeated = true } },
  flags = {
    { "field", "add a field to the query or body", value = "NAME=VALUE", repeated = true },
    { "raw-field", "add a field whose value is text", value = "NAME=TEXT", repeated = true },
    { "input", "read the body (JSON) from FILE or -", value = "FILE" },
    { "header", "add a header", value = "'NAME: VALUE'", repeated = true },
    { "paginate", "fetch all pages as one array", type = "boolean" },
    { "pointer", "print only the value at POINTER (JSON Pointer)", value = "POINTER" },
    { "idempotency-key", "set the key that allows retries of a POST", value = "KEY" },
    { "yes", "delete without asking", type = "boolean" },
  },
  examples = {
    { "moongate --sim api /api/v2/ai/models --paginate --pointer /0/name" },
    { "moongate api PUT /api/v2/ai/models/MODEL/configuration --input config.json --header 'If-Match: \"3\"'" },
    { "moongate api POST /api/v2/notes --field text=hello --field stars=5 --dry-run" },
  },
  journal = function(values) return WRITES[(method_and_path(values))] ~= nil end,
  permissions = { read = { "." } }, -- and the file that the user names, wherever it is
  run = function(run, args)
    local method, path = method_and_path(args)
    local result = (WRITES[method] and write or read)(run, args, method, path)
    if result.status == "planned" then
      result.text = diff.lines(result.changes, "  ")
      table.insert(result.text, 1, ("%s %s would be sent"):format(method, path))
      result.changes = diff.to_json(result.changes)
    elseif method == "HEAD" then
      result.text = header_lines(result)
    else
      result.text = shown(selected(args, result.body))
    end
    return result
  end,
}
