-- topics.lua - help on global flags, exit statuses, error codes, the project file, retries, files and the environment.
-- For `moongate help TOPIC` and help "TOPIC" at the prompt.
local commands = require "moongate.cli.commands"
local exit_status = require "moongate.exit_status"
local flag_rows = require "moongate.cli.flag_rows"
local meta = require "moongate.meta"
local project = require "moongate.cli.project"
local text = require "moongate.text"

local M = {}

local function exit()
  local rows = {}
  for i, row in ipairs(commands.exit_statuses) do rows[i] = { tostring(row[1]), row[2] } end
  return "Exit statuses\n\n" .. text.columns(rows, 2) .. "\n\n" .. table.concat(text.wrap(
    "After several failures, the exit status is that of the first in input order. A run ended by --max-time exits "
    .. "with 1, a run ended by Ctrl-C, SIGTERM or SIGHUP with 130. A workflow can set exit_status in its result. "
    .. "See also: moongate help errors", text.width()), "\n")
end

local function codes()
  for _, alias in ipairs(meta.module("moongate.error").aliases) do
    if alias.name == "moongate.error.code" then return alias.values end
  end
  return {}
end

local function name_of(value) return (value.value:gsub('"', "")) end

-- "exit 6" for a code.
local function status_of(code) return ("exit %d"):format(exit_status.of { code = code }) end

local function errors()
  local rows = {}
  for i, value in ipairs(codes()) do
    local code = name_of(value)
    rows[i] = { code, (value.doc ~= "" and value.doc .. " " or "") .. ("(%s)"):format(status_of(code)) }
  end
  return "Error codes: err.code in a script, error.code in the document of --json\n\n" .. text.columns(rows, 2)
    .. "\n\n" .. table.concat(text.wrap("A gateway response (code http) gives an exit status by its HTTP status: "
    .. "400, 413, 415, 422: 3; 401, 403: 4; 409, 412: 5; 408, 429, 5xx: 6; others: 1.", text.width()), "\n")
end

-- A field of the project file's schema, in words.
local function kind_of(field)
  if type(field) == "string" then return field end
  if field.one_of then return "one of " .. table.concat(field.one_of, ", ") end
  if field.list then return "a list: " .. kind_of(field.list) end
  if field.or_list then return kind_of(field.or_list) .. ", or a list of them" end
  if field.map then return "a table by name of " .. kind_of(field.map) end
  return "a table"
end

local function add_fields(rows, fields, prefix)
  local names = {}
  for name in pairs(fields) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local field, path = fields[name], prefix .. name
    if type(field) == "table" and field.fields then
      add_fields(rows, field.fields, path .. ".")
    elseif type(field) == "table" and type(field.map) == "table" and field.map.fields then
      add_fields(rows, field.map.fields, path .. ".NAME.")
    else
      rows[#rows + 1] = { path, kind_of(field) }
    end
  end
end

local function project_file()
  local rows = {}
  add_fields(rows, project.FIELDS, "")
  return [[
The project file: moongate.lua, here or in a folder above, or --config FILE

  return {
    gateway  = {
      region = "us-east-1",
      client_id = env "CLIENT_ID", client_secret = secret "CLIENT_SECRET",
    },
    state    = "sqlite:.moongate/state.db",
    webhooks = {
      ops = { url = "https://hooks.example.com/llm", secret = secret "OPS" },
    },
    limits   = { dimensions = 4096 },
    permissions = { net = { "api.example.com" } },
  }

It is data. Only two functions exist in it: env "NAME", the value of a variable,
and secret "NAME", a variable that only the program reads. Unknown fields are
errors. To have a file per environment, choose one with --config staging.lua.

Fields
]] .. text.columns(rows, 2)
end

local function retry()
  local rows = {}
  for _, flag in ipairs(commands.globals) do
    if flag[1] == "deadline" or flag[1] == "retries" or flag[1] == "queue" then
      rows[#rows + 1] = { "--" .. flag[1], flag[2] }
    end
  end
  return table.concat(text.wrap("A gateway call is retried, with growing random waits, until its deadline: when it "
    .. "failed without taking effect (429, 502, 503, 504, a failed connection, an open circuit breaker), or when it "
    .. "may be repeated (GET, PUT, a request with an idempotency key). Retry-After is respected. A POST without a key "
    .. "whose response was lost is never repeated: its outcome is unknown. A retry budget per host limits retries "
    .. "while a gateway is down.", text.width()), "\n") .. "\n\n" .. text.columns(rows, 2)
    .. "\n\nProject file: http = { deadline = \"2m\", retries = 5 }\nScripts: moongate help http.client"
end

local function wrapped(lines) return table.concat(text.wrap(table.concat(lines, " "), text.width()), "\n") end

local function environment()
  return "Environment\n\n" .. text.columns(commands.environment, 2) .. "\n\n" .. wrapped(commands.secrets_note)
end

local function files() return "Files\n\n" .. text.columns(commands.files, 2) end

local function global_flags()
  return "Global flags: every command accepts them, in any position\n\n"
    .. text.columns(flag_rows.of(commands.globals), 2) .. "\n\n"
    .. wrapped(commands.flags_note)
end

local TOPICS = {
  exit = exit, errors = errors, project = project_file, retry = retry, environment = environment, files = files,
  flags = global_flags,
}
local SAME = {
  status = "exit", statuses = "exit", ["exit.status"] = "exit", ["exit.statuses"] = "exit", ["exit.codes"] = "exit",
  ["exit.code"] = "exit", codes = "errors", ["error.codes"] = "errors", ["error.code"] = "errors",
  ["project.file"] = "project", ["moongate.lua"] = "project", retries = "retry", env = "environment",
  secrets = "environment", ["global.flags"] = "flags", file = "files", flag = "flags",
}

-- M.NAMES: of the topics, sorted.
M.NAMES = {}
for name in pairs(TOPICS) do M.NAMES[#M.NAMES + 1] = name end
table.sort(M.NAMES)

-- M.find(words joined by dots) -> text | nil. An error code is a topic, too.
function M.find(name)
  name = name:gsub("[%s_]+", "."):lower()
  local topic = TOPICS[SAME[name] or name]
  if topic then return topic() end
  for _, value in ipairs(codes()) do
    local code = name_of(value)
    if code:gsub("_", ".") == name then
      return ("%s: an error code\n\n  %s\n  %s\n\nAll of them: moongate help errors"):format(code,
        value.doc ~= "" and value.doc or code:gsub("_", " "), status_of(code))
    end
  end
end

return M
