-- needs.lua - permissions that a workflow needs, as far as its text shows, and does not declare: hosts, files and
-- variables that it names.
local walk = require "moongate.source.walk"

local M = {}

-- Where a function of ours takes what it needs a permission for: {kind, argument or name of an option}.
local NEEDS = {
  ["moongate.http"] = {
    get = { "net", 1 }, put = { "net", 1 }, post = { "net", 1 }, patch = { "net", 1 }, delete = { "net", 1 },
    request = { "net", "url" }, client = { "net", "base_url" },
  },
  ["moongate.fs"] = {
    read = { "read", 1 }, list = { "read", 1 }, stat = { "read", 1 }, lines = { "read", 1 },
    write = { "write", 1 }, mkdir = { "write", 1 }, remove = { "write", 1 },
  },
  ["moongate.secret"] = { env = { "env", 1 }, file = { "read", 1 } },
}

-- ---- what covers what ----

-- "https://Host:8443/x" -> "host", "8443"
local function origin(url)
  local scheme, authority = url:match "^(%l+)://([^/?#]+)"
  if not authority then return nil end
  authority = authority:gsub("^.*@", ""):lower()
  local host, port = authority:match "^(%[.-%]):?(%d*)$"
  if not host then host, port = authority:match "^([^:]*):?(%d*)$" end
  if not host then return nil end
  if port == "" then port = scheme == "https" and "443" or "80" end
  return host, port
end

local function net_covers(rule, host, port)
  rule = rule:lower()
  local wanted, wanted_port = rule:match "^(%[.-%]):(%d+)$"
  if not wanted then wanted, wanted_port = rule:match "^([^:]+):(%d+)$" end
  wanted = wanted or rule
  if wanted_port and wanted_port ~= port then return false end
  if wanted == host then return true end
  local suffix = wanted:match "^%*(%..+)$"
  return suffix ~= nil and host:sub(-#suffix) == suffix
end

-- "a/./b/../c" -> "a/c"; nil: it leads out of where it begins.
local function normal(path)
  local parts = {}
  for part in path:gmatch "[^/]+" do
    if part == ".." then
      if #parts == 0 then return nil end
      parts[#parts] = nil
    elseif part ~= "." then
      parts[#parts + 1] = part
    end
  end
  return (path:sub(1, 1) == "/" and "/" or "") .. table.concat(parts, "/")
end

local function path_covers(rule, path)
  rule, path = normal(rule), normal(path)
  if not rule or not path then return false end
  if rule == "" then return path:sub(1, 1) ~= "/" end
  return path == rule or path:sub(1, #rule + 1) == rule .. "/" or rule == "/" and path:sub(1, 1) == "/"
end

local covers = {}

function covers.net(list, url)
  local host, port = origin(url)
  if not host then return true end -- not to be told from here
  for _, rule in ipairs(list) do
    if net_covers(rule, host, port) then return true end
  end
  return false, host .. ((port == "443" or port == "80") and "" or ":" .. port)
end

function covers.read(list, path)
  if path == "-" or path_covers(".", path) then return true end -- below the working directory, as all may
  for _, rule in ipairs(list) do
    if path_covers(rule, path) then return true end
  end
  return false, path
end

function covers.write(list, path)
  for _, rule in ipairs(list) do
    if path_covers(rule, path) then return true end
  end
  return false, path
end

function covers.env(list, name)
  for _, rule in ipairs(list) do
    if rule == name then return true end
  end
  return false, name
end

-- ---- what is declared ----

local function item_of(tree, name)
  for _, item in ipairs(tree.items) do
    if item.name == name then return item.value end
  end
end

-- The table that workflow.define is given, of a chunk that returns what it made; or nil.
function M.definition(tree, known)
  local last = tree[#tree]
  local node = last and last.tag == "Return" and last.values[1]
  for _ = 1, 10 do -- through locals
    local decl = node and node.tag == "Name" and node.decl
    if not decl or decl.assigned then break end
    node = decl.value
  end
  if not node or node.tag ~= "Call" then return nil end
  local fn, owner, args = known:call(node)
  local is_definition = fn and owner == "moongate.workflow" and fn.name == "define"
  return is_definition and args[1] and args[1].tag == "Table" and args[1] or nil
end

-- {net = {…}, …} as literals; nil: it can't be told.
local function declared(definition, known)
  local out = { net = {}, read = {}, write = {}, env = {} }
  local permissions = item_of(definition, "permissions")
  if not permissions or permissions.constant == "nil" then return out end
  if permissions.tag ~= "Table" then return nil end
  for _, item in ipairs(permissions.items) do
    if not out[item.name] or item.value.tag ~= "Table" then return nil end
    for i, entry in ipairs(item.value.items) do
      local value = known:infer(entry.value)
      if not value or not value.text then return nil end
      out[item.name][i] = value.text
    end
  end
  return out
end

-- What the call needs: kind, text | nil
local function need_of(node, known)
  local fn, owner, args = known:call(node)
  local need = fn and NEEDS[owner] and NEEDS[owner][fn.name]
  local arg = need and args[math.type(need[2]) and need[2] or 1]
  if arg and not math.type(need[2]) then arg = arg.tag == "Table" and item_of(arg, need[2]) or nil end
  local value = arg and known:infer(arg)
  return need and need[1], value and value.text, arg, owner, fn
end

-- M.faults(tree, values) -> list of {line, column, message}. Of a workflow only: a plain script declares nothing.
function M.faults(tree, known)
  local definition = M.definition(tree, known)
  local has = definition and declared(definition, known)
  if not has then return {} end
  local faults = {}
  walk(tree, function(node)
    if node.tag ~= "Call" and node.tag ~= "Method" then return end
    local kind, text, arg, owner, fn = need_of(node, known)
    if not kind or not text then return end
    local covered, what = covers[kind](has[kind], text)
    if covered then return end
    faults[#faults + 1] = {
      line = arg.line, column = arg.column,
      message = ("%s.%s needs a permission that the workflow does not declare: permissions = { %s = { %q } }"):format(
        owner:gsub("^moongate%.", ""), fn.name, kind, what),
    }
  end)
  return faults
end

return M
