-- project.lua - the project file: evaluated with nothing in reach but env() and secret(), then checked against the
-- fields below, every fault at once. src/cli/project.c runs this in a small state of its own, with limits on memory
-- and instructions and without methods on strings; so nothing here is called with ":" on a string.
local M = {}

local STRING, INTEGER, SECRET, URL = "a string", "a whole number from 1 on", 'secret "NAME"', "an http(s) URL"
local TABLE = "a table of plain data"
local DURATION, COUNT = 'a duration such as "30s", or seconds', "a whole number from 0 to 999"
local ORIGIN = "a name without white space and '+', such as example.com/moongate/prod"
local SIZE = "a size such as 64MB, or bytes"
local PATH_LIST = { list = STRING }
local HEADER_TEXT = 'a string of one line, or secret "NAME"'
local HEADERS = { map = HEADER_TEXT, names = "a header's name that the webhook does not set itself" }
local BOOLEAN = "true or false"
local FORMAT = { one_of = { "standard", "flat" } } -- moongate.webhooks
local PROFILE = { one_of = { "mlflow", "standard", "svix" } } -- moongate.webhooks.profile

-- A field: one of the words above, {list = field}, {map = field [, names = word]}, {or_list = field}, {one_of = texts}
-- or {fields = {…}, required = {…}}.
local PROJECT = {
  fields = {
    gateway = {
      fields = {
        region = STRING, profile = STRING, dialect = STRING, login_url = URL, client_id = STRING,
        client_secret = SECRET, access_token = SECRET,
        kinds = { map = TABLE }, -- moongate.gateway.kinds knows their fields
      },
    },
    state = STRING,
    http = {
      fields = {
        deadline = DURATION, retries = COUNT, connect_timeout = DURATION,
        http2 = { one_of = { "always", "auto", "never" } },
      },
    },
    webhooks = {
      map = {
        fields = {
          url = URL, secret = { or_list = SECRET }, events = { list = STRING }, profile = PROFILE, headers = HEADERS,
          format = FORMAT, per_prompt = BOOLEAN,
        },
        required = { "url" },
      },
    },
    resources = { -- what `moongate plan` compares with the gateway
      list = {
        fields = { kind = STRING, files = STRING, id = STRING, place = { map = STRING } },
        required = { "kind", "files" },
      },
    },
    limits = {
      fields = {
        dimensions = INTEGER, high_precision_dimensions = INTEGER, index_file_bytes = INTEGER, prompt_tokens = INTEGER,
        content_characters = INTEGER, template_file_bytes = INTEGER,
      },
    },
    audit = {
      fields = {
        origin = ORIGIN, key = SECRET, key_file = STRING, every = INTEGER, rotate = SIZE, to = { list = STRING },
      },
    },
    approvals = {
      fields = { keys = { list = STRING }, need = INTEGER, irreversible = INTEGER },
      required = { "keys" },
    },
    permissions = {
      fields = { net = PATH_LIST, read = PATH_LIST, write = PATH_LIST, env = PATH_LIST, http = PATH_LIST },
    },
  },
}

M.FIELDS = PROJECT.fields

local function sorted_keys(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  return keys
end

-- The line `key` is set in: a guess good enough to find it. nil when it is not seen.
local function line_of(source, key)
  local line = 0
  for text in string.gmatch(source .. "\n", "(.-)\n") do
    line = line + 1
    if string.find(text, "%f[%w_]" .. string.gsub(key, "%W", "%%%0") .. "%f[^%w_][\"'%]%s]*=[^=]") then return line end
  end
end

local check -- (value, field, path, faults)

-- Strings, numbers, booleans and tables of them; a function or a table inside itself is no data.
local function is_data(v, depth)
  if type(v) ~= "table" then return type(v) == "string" or type(v) == "number" or type(v) == "boolean" end
  if depth == 0 then return false end
  for _, value in pairs(v) do
    if not is_data(value, depth - 1) then return false end
  end
  return true
end

local is_a = {
  [BOOLEAN] = function(v) return type(v) == "boolean" end,
  [STRING] = function(v) return type(v) == "string" and v ~= "" end,
  [TABLE] = function(v) return type(v) == "table" and is_data(v, 6) end,
  [DURATION] = function(v)
    if type(v) == "number" then return v > 0 and v <= 86400 * 365 end
    if type(v) ~= "string" then return false end
    local number, unit = string.match(v, "^(%d+%.?%d*)(%a*)$")
    return number ~= nil and tonumber(number) > 0 and string.find(" ms s m h d  ", " " .. unit .. " ", 1, true) ~= nil
  end,
  [ORIGIN] = function(v) return type(v) == "string" and #v <= 200 and string.find(v, "^[^%s%c+]+$") ~= nil end,
  [SIZE] = function(v)
    if math.type(v) == "integer" then return v >= 1 end
    return type(v) == "string" and string.find(v, "^[1-9]%d*[KMG]B?$") ~= nil
  end,
  [COUNT] = function(v) return math.type(v) == "integer" and v >= 0 and v <= 999 end,
  [INTEGER] = function(v) return math.type(v) == "integer" and v >= 1 end,
  [URL] = function(v) return type(v) == "string" and string.find(v, "^https?://[^%s/]+") ~= nil end,
  [HEADER_TEXT] = function(v) return type(v) == "string" and string.find(v, "%c") == nil end,
  [HEADERS.names] = function(v)
    v = string.lower(v)
    return string.find(v, "^[%w!#$%%&'*+.^_`|~-]+$") ~= nil and string.find(v, "^webhook%-") == nil
      and string.find(v, "^svix%-") == nil and string.find(v, "^x%-mlflow%-") == nil and v ~= "host"
      and v ~= "content-length"
  end,
}

local function join(path, key)
  key = tostring(key)
  if not string.find(key, "^[%a_][%w_]*$") then key = '["' .. key .. '"]' elseif path ~= "" then key = "." .. key end
  return path .. key
end

local function fault(faults, path, key, format, ...)
  faults[#faults + 1] = { path = path, key = key, message = string.format(format, ...) }
end

local function check_fields(value, spec, path, faults)
  for _, key in ipairs(sorted_keys(value)) do
    local field = spec.fields[key]
    if field then
      check(value[key], field, join(path, key), faults, key)
    else
      fault(faults, join(path, key), key, "unknown field%s", faults.hint(tostring(key), sorted_keys(spec.fields)))
    end
  end
  for _, key in ipairs(spec.required or {}) do
    if value[key] == nil then fault(faults, path, nil, "'%s' is missing", key) end
  end
end

local function check_choice(value, spec, path, faults, key)
  local shown = type(value) == "string" and "'" .. value .. "'" or type(value)
  for _, choice in ipairs(spec.one_of) do
    if value == choice then return end
  end
  fault(faults, path, key, "must be one of %s, not %s%s", table.concat(spec.one_of, ", "), shown,
    type(value) == "string" and faults.hint(value, spec.one_of) or "")
end

function check(value, spec, path, faults, key)
  if spec == SECRET then
    if not faults.is_secret(value) then -- the value is never repeated
      fault(faults, path, key,
      'must be secret "NAME", which names an environment variable: a secret does not belong here')
    end
  elseif spec == HEADER_TEXT and faults.is_secret(value) then
    return
  elseif type(spec) == "string" then
    if not is_a[spec](value) then fault(faults, path, key, "must be %s, not %s", spec, type(value)) end
  elseif spec.or_list and faults.is_secret(value) then
    return
  elseif spec.one_of then
    check_choice(value, spec, path, faults, key)
  elseif type(value) ~= "table" then
    if spec.or_list then return check(value, spec.or_list, path, faults, key) end
    fault(faults, path, key, "must be a table, not a %s", type(value))
  elseif spec.fields then
    check_fields(value, spec, path, faults)
  elseif spec.map then
    for _, name in ipairs(sorted_keys(value)) do
      if type(name) ~= "string" then
        fault(faults, join(path, name), key, "needs a name")
      elseif spec.names and not is_a[spec.names](name) then
        fault(faults, join(path, name), name, "must be %s", spec.names)
      else
        check(value[name], spec.map, join(path, name), faults, name)
      end
    end
  else
    for _, i in ipairs(sorted_keys(value)) do
      if math.type(i) ~= "integer" then
        fault(faults, join(path, i), i, "unknown field: this is a list")
      else
        check(value[i], spec.list or spec.or_list, path .. "[" .. i .. "]", faults, key)
      end
    end
  end
end

-- An error message of the compiler, without the text of a string it stopped at (it may be a secret's).
local function compiler_fault(message, name)
  local line, text = string.match(message, "^.-:(%d+): (.*)$")
  if message == "not enough memory" then text = "needs too much memory: a project file contains only data" end
  text = string.gsub(text or message, " near '[\"'%[%d].*$", " near a literal")
  return { file = name, line = tonumber(line), message = text }
end

-- source, the file's name for messages, env (a function), secret (a function), is_secret, hint (suggest.hint) ->
-- table, or nil and faults {file, line, path, message}.
function M.load(source, name, env, secret, is_secret, hint)
  local chunk, message = load(source, "@" .. name, "t", { env = env, secret = secret })
  if not chunk then return nil, { compiler_fault(message, name) } end
  local ok, value = pcall(chunk)
  if not ok then
    message = type(value) == "string" and value or "raised " .. type(value)
    return nil, { compiler_fault(message, name) }
  end
  if type(value) ~= "table" then return nil, { { file = name, message = "must return a table" } } end
  local faults = { is_secret = is_secret, hint = hint }
  check(value, PROJECT, "", faults)
  for _, f in ipairs(faults) do
    f.file, f.line = name, f.key and type(f.key) == "string" and line_of(source, f.key) or nil
  end
  if #faults > 0 then return nil, faults end
  return value
end

return M
