-- resources.lua - resources as a command line names them: a kind by any of its names, a resource by the ids of its path
-- ("vs-1/orders"). For the bundled workflows that work on any kind.

local answer = require "moongate.gateway.answer"
local errors = require "moongate.error"
local grid = require "moongate.grid"
local json = require "moongate.json"
local plain = require "moongate.plain"

local M = {}

local function usage(hint, fmt, ...)
  errors.raise { code = "usage", message = fmt:format(...), hint = hint }
end

-- ---- kinds and ids ----

-- M.kind(gateway, word) -> the declaration of the kind that a person calls so, to read it.
function M.kind(gateway, word)
  local kind = gateway:kind(word)
  return kind.reads and gateway:kind(kind.reads) or kind
end

local function parameters(template)
  local names = {}
  for name in template:gmatch "{([%w_]+)}" do names[#names + 1] = name end
  return names
end

-- "vs-1/a%2Fb" -> {"vs-1", "a/b"}
local function split(id, out)
  for part in (id .. "/"):gmatch "([^/]*)/" do
    out[#out + 1] = part:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
  end
  return out
end

local function form(names) return table.concat(names, "/") end

-- The values of a template's parameters. parent: where the id lacks the ids before its own.
local function place(kind, template, id, parent)
  local names, values = parameters(template), {}
  if id then split(id, values) end
  if parent and #values < #names then values = split(id or "", split(parent, {})) end
  if not id then values[#values] = nil end
  if #values ~= #names then
    local what = id and ("%q"):format(id) or "the listing"
    usage(id and ("Give %s, or the first part with --in."):format(form(names))
      or ("Give %s with --in."):format(form(names)),
      "%s: %s needs %d id%s (%s), not %d", kind.title, what, #names, #names == 1 and "" or "s", form(names), #values)
  end
  local args = {}
  for i, name in ipairs(names) do
    if values[i] == "" then usage(nil, "%s: the %s in %q is empty", kind.title, name, id or parent) end
    args[name] = values[i]
  end
  return args
end

-- M.parent(kind, flags) -> the ids before a resource's own: of --in, else of --vector-store where the path begins with
-- one.
function M.parent(kind, flags)
  if flags["in"] then return flags["in"] end
  return parameters(kind.item or kind.path)[1] == "vectorStoreId" and flags.vector_store or nil
end

-- The flags that M.parent reads.
M.FLAGS = {
  { "in", "set the leading ids: a vector store, a template", value = "ID" },
  { "vector-store", "set the vector store of indexes, like --in", value = "ID", env = "GENESYS_CLOUD_VECTOR_STORE_ID" },
}

-- M.place(kind, id [, parent]) -> the arguments of the resource's path. parent: ids that come before the resource's
-- own.
function M.place(kind, id, parent)
  local template = kind.item or kind.path
  if #parameters(template) == 0 then
    usage("Use `moongate api`.", "a %s is not read one by one", kind.title)
  end
  return place(kind, template, id, parent)
end

-- M.listing(kind [, parent]) -> the arguments of the listing's path.
function M.listing(kind, parent)
  if not kind.list then
    usage(("Give an id: %s."):format(form(parameters(kind.item or kind.path))), "the gateway has no listing of %ss",
      kind.title)
  end
  local names = parameters(kind.list)
  if #names == 0 then return {} end
  return place(kind, kind.list, nil, parent)
end

-- M.encoded(id) -> the id as a part of an address.
function M.encoded(id)
  return (tostring(id):gsub("[^%w%-._~]", function(c) return ("%%%02X"):format(c:byte()) end))
end

-- M.address(kind, args) -> "index/vs-1/orders": the kind and the ids, percent-encoded.
function M.address(kind, args)
  local parts = { kind.name }
  for i, name in ipairs(parameters(kind.item or kind.path)) do
    parts[i + 1] = M.encoded(args[name])
  end
  return table.concat(parts, "/")
end

-- ---- what is shown of them ----

local FIRST = { "id", "name", "version", "status", "state", "type", "createdAt", "updatedAt", "dateCreated",
  "dateModified" }
local MOST = 5 -- columns that are chosen

-- The member of a body that a column names, or nil.
local function member(body, column)
  if column:sub(1, 1) ~= "/" then return answer.object(body)[column] end
  for token in column:gmatch "/([^/]*)" do
    token = token:gsub("~1", "/"):gsub("~0", "~")
    body = answer.object(body)[token]
  end
  return body
end

-- The first of the usual members that one of the bodies has.
local function chosen(bodies)
  local columns = {}
  for _, name in ipairs(FIRST) do
    for _, body in ipairs(bodies) do
      local value = member(body, name)
      if value ~= nil and type(value) ~= "table" and #columns < MOST then
        columns[#columns + 1] = name
        break
      end
    end
  end
  return columns
end

local CELL = 60 -- code points of a value that are shown

local function cell(value)
  if value == nil or value == json.null then return "-" end
  local text = type(value) == "string" and value or plain.write(value)
  text = text:gsub("%c", " ")
  if (utf8.len(text) or 0) > CELL then text = text:sub(1, utf8.offset(text, CELL) - 1) .. "…" end
  return text
end

-- "/configuration/similarityMetric" -> "SIMILARITY_METRIC"
local function heading(column)
  return column:match "[^/]*$":gsub("(%l)(%u)", "%1_%2"):upper()
end

-- M.table(kind, bodies) -> lines: a heading and a row for each; columns that are empty throughout are left out.
function M.table(kind, bodies)
  local columns, used = kind.columns or chosen(bodies), {}
  for _, column in ipairs(columns) do
    for _, body in ipairs(bodies) do
      if member(body, column) ~= nil then
        used[#used + 1] = column
        break
      end
    end
  end
  if #used == 0 then used = { "id" } end
  local rows = { {} }
  for i, column in ipairs(used) do rows[1][i] = heading(column) end
  for n, body in ipairs(bodies) do
    rows[n + 1] = {}
    for i, column in ipairs(used) do rows[n + 1][i] = cell(member(body, column)) end
  end
  return grid.lines(rows)
end

return M
