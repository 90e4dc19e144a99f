-- documents.lua - the files that a job takes: found, read, decoded, checked against a schema and rules. Every fault of
-- every file is collected, and all are raised as one error, "invalid", so that nothing is sent when one file is bad.
-- For the modules of the jobs (index, template, …).
--
-- A fault is {file, line, column, pointer, field, message, where}.

local argument = require "moongate.argument"
local diff = require "moongate.diff"
local errors = require "moongate.error"
local fs = require "moongate.fs"
local host = require "moongate.host"
local json = require "moongate.json"
local locate = require "moongate.locate"
local merged = require "moongate.merged"
local plain_text = require "moongate.plain_text"
local schemas = require "moongate.schemas"

local M = {}

local MAX_FILES = 10000

-- ---- faults ----

-- M.fault{file, message, pointer, line, column, …} -> the same with field and where.
function M.fault(f)
  f.field = f.pointer and diff.path(f.pointer) or nil
  f.where = f.file
  if f.line then f.where = ("%s:%d%s"):format(f.file, f.line, f.column and (":%d"):format(f.column) or "") end
  return f
end

-- M.add(faults, file, pointer | nil, message [, line, column]): one more.
function M.add(faults, file, pointer, message, line, column)
  faults[#faults + 1] = M.fault {
    file = file, pointer = pointer, message = message, line = line, column = column,
  }
end

-- M.raise(faults): all of them as one error.
function M.raise(faults)
  local seen, files = {}, 0
  for _, f in ipairs(faults) do
    files = files + (seen[f.file] and 0 or 1)
    seen[f.file] = true
  end
  errors.raise {
    code = "invalid", details = faults, outcome = "not_sent",
    message = ("%s: %d error%s; nothing was sent"):format(files == 1 and faults[1].file or files .. " files",
      #faults, #faults == 1 and "" or "s"),
  }
end

-- ---- one document ----

-- M.pointer(pointer, name) -> JSON Pointer of a member.
function M.pointer(pointer, name)
  return pointer .. "/" .. tostring(name):gsub("~", "~0"):gsub("/", "~1")
end

function M.is_object(v)
  return type(v) == "table" and not json.is_array(v)
end

-- What a schema says about members, in the words and at the path of a document: a missing member is an error at its own
-- path.
local function member_fault(f, what)
  if f.keyword == "required" then return M.pointer(f.pointer, f.property), "is missing" end
  if f.keyword ~= "additionalProperties" then return f.pointer, f.message end
  local object = f.pointer:match "^(.*)/"
  return f.pointer, ("is not a field of %s%s"):format(object == "" and what or diff.path(object),
    f.near and (" (did you mean '%s'?)"):format(f.near) or "")
end

-- Where each fault stands, and the order of the text, then that in which they were found.
local function in_order(found, place)
  for n, f in ipairs(found) do
    local file, line, pointer = place(f.pointer)
    f.file, f.line, f.n, f.pointer = file, f.line or line, n, pointer or f.pointer
  end
  table.sort(found, function(a, b)
    if a.file ~= b.file then return a.file < b.file end
    if a.line ~= b.line then return (a.line or 0) < (b.line or 0) end
    if a.column ~= b.column then return (a.column or 0) < (b.column or 0) end
    return a.n < b.n
  end)
end

-- M.check(document, opts) -> true; or nil, faults. opts:
--   schema, pointers, limits   as for schemas.compile
--   what                       "an index configuration"
--   rules(document, report)    what no schema can say, or not as well: report(pointer, message [, {line, column, …}]).
--                              Where a fault was found at a pointer no second one is told, unless it has a place of
--                              its own; what that table holds goes into the fault
--   text, file                 the document's source and its name
--   place(pointer)             -> file, line [, pointer]: instead of both, where the document comes from several, or is
--                              a part of a larger one, in which that is its pointer
function M.check(document, opts)
  local found, seen = {}, {}
  local function report(pointer, message, at)
    if seen[pointer] and not at then return end
    seen[pointer] = true
    local fault = merged({ pointer = pointer, message = message }, at)
    found[#found + 1] = fault
  end
  local valid, faults = schemas.compile(opts.schema, { pointers = opts.pointers, limits = opts.limits }):check(document)
  if opts.rules and M.is_object(document) then opts.rules(document, report) end
  for _, f in ipairs(not valid and faults or {}) do
    report(member_fault(f, opts.what))
  end
  if #found == 0 then return true end
  in_order(found, opts.place or function(pointer)
    return opts.file or "document", opts.text and locate.line(opts.text, pointer) or nil
  end)
  local list = {}
  for _, f in ipairs(found) do
    f.n = nil
    list[#list + 1] = M.fault(f)
  end
  return nil, list
end

-- ---- rules that several jobs share ----

-- M.is_loopback(host) -> whether a URL's host is this machine.
function M.is_loopback(name) return host.is_loopback(name) end

-- M.url_fault(url) -> what is wrong with a URL that is to be called, or nil: absolute, https (http for a loopback
-- address), a host, no user name.
function M.url_fault(url)
  local scheme, rest = url:match("^(%a[%w+.-]*)://(.*)$")
  if not scheme then return "must be an absolute URL, https://host/path" end
  scheme = scheme:lower()
  local authority = rest:match("^[^/?#]*")
  if authority:find("@", 1, true) then return "must not contain a user name or password" end
  local name = (authority:match("^(%[[%x:.]+%])") or authority:match("^[^:]*")):lower()
  if name == "" then return "has no host" end
  if not (name:find("^%[") or name:find("^[%w_][%w._-]*$")) then return ("has an invalid host: %q"):format(name) end
  if scheme == "https" or (scheme == "http" and host.is_loopback(name)) then return nil end
  if scheme == "http" then return "must be https (http is for a loopback address only)" end
  return ("must be https, not %s"):format(scheme)
end

-- M.id_fault(id) -> what is wrong with an id that becomes a part of a path, or nil.
function M.id_fault(id)
  if id == "." or id == ".." then return "can't be '.' or '..': it is a part of a path" end
  if id:find("%c") then return "must not contain control characters" end
end

-- ---- files ----

local READ_FAULTS = {
  not_found = "file not found",
  denied = "can't be read: permission denied",
  invalid = "is not a file",
}

local function size(bytes)
  return bytes >= 1 << 20 and ("%.3g MiB"):format(bytes / (1 << 20)) or ("%d bytes"):format(bytes)
end

-- M.read(path, {what, max_bytes}, faults) -> text without a byte order mark; or nil, and a fault. "-": standard input.
function M.read(path, opts, faults)
  argument.check(1, "load", path, "string", 2)
  local info = path ~= "-" and fs.stat(path)
  if info and info.type == "directory" then
    return M.add(faults, path, nil, ("is a folder; %s is a file"):format(opts.what))
  end
  local bytes, err = plain_text.read(path, opts.max_bytes)
  if bytes then
    local text, why = plain_text.normal(bytes)
    if text then return text end
    return M.add(faults, path, nil, why)
  end
  if err.code == "too_large" then
    return M.add(faults, path, nil, ("is too large for %s: more than %s"):format(opts.what, size(opts.max_bytes)))
  end
  M.add(faults, path, nil, READ_FAULTS[err.code] or err.message)
end

-- M.decode(path, text, faults) -> value; or nil, and a fault.
function M.decode(path, text, faults)
  local document, err = json.decode(text, { safe_integers = true })
  if document ~= nil then return document end
  M.add(faults, path, nil, "is not valid JSON: " .. err.message, err.line)
end

local function files_in(folder, wanted, expected, faults)
  local names, err = fs.list(folder)
  if not names then
    M.add(faults, folder, nil, READ_FAULTS[err.code] or err.message)
    return {}
  end
  local files = {}
  table.sort(names)
  for _, name in ipairs(names) do
    if wanted(name) and name:sub(1, 1) ~= "." then files[#files + 1] = folder:gsub("/*$", "") .. "/" .. name end
  end
  if #files == 0 then M.add(faults, folder, nil, ("is a folder with no %s file in it"):format(expected)) end
  return files
end

local function is_json(name) return name:find("%.json$") ~= nil end

-- M.expand(paths, faults [, wanted = function(name), expected = ".json"]) -> files. A folder stands for the files in
-- it that are wanted, by name.
function M.expand(paths, faults, wanted, expected)
  argument.check(1, "load_all", paths, "table", 2)
  for i, path in ipairs(paths) do argument.check(i, "load", path, "string", 2) end
  local files = {}
  for _, path in ipairs(paths) do
    local info = path ~= "" and path ~= "-" and fs.stat(path)
    if path == "" then
      M.add(faults, '""', nil, "is the name of no file")
    elseif info and info.type == "directory" then
      local found = files_in(path, wanted or is_json, expected or ".json", faults)
      table.move(found, 1, #found, #files + 1, files)
    else
      files[#files + 1] = path
    end
  end
  if #files > MAX_FILES then
    M.add(faults, files[MAX_FILES + 1], nil, ("is one file too many: at most %d in one go"):format(MAX_FILES))
    M.raise(faults)
  end
  return files
end

-- M.load_all(paths, {load = function(path, faults) -> item | nil, id; id = "/indexId"; wanted =, expected =}) -> items,
-- in the order given. Raises all faults of all files; an id that two files share is one.
function M.load_all(paths, opts)
  local faults, list, owner = {}, {}, {}
  for _, path in ipairs(M.expand(paths, faults, opts.wanted, opts.expected)) do
    local item, id = opts.load(path, faults)
    list[#list + 1] = item
    if type(id) == "string" and owner[id] then
      M.add(faults, path, opts.id, ("%q is the %s of %s too"):format(id, opts.id:sub(2), owner[id]))
    elseif type(id) == "string" then
      owner[id] = path
    end
  end
  if #faults > 0 then M.raise(faults) end
  return list
end

return M
