-- source.lua - a template's files: one JSON document, or a text with its metadata in front of it or beside it. For
-- template.lua.
--
-- A source is {file, document, place = function(pointer) -> file, line; content_line = the line of the file that the
-- content begins on (a text file), or nil}.

local documents = require "moongate.documents"
local fs = require "moongate.fs"
local json = require "moongate.json"
local locate = require "moongate.locate"

local M = {}

local WHAT = "a template"
local NESTED = { variables = true, abTestingTrigger = true, metadata = true }
local FENCE = "^%-%-%-%s*$"

-- ---- JSON ----

local function of_json(path, text, faults)
  local document = documents.decode(path, text, faults)
  if document == nil then return nil end
  return { file = path, document = document, place = function(pointer) return path, locate.line(text, pointer) end }
end

-- ---- front matter: a JSON object, or lines "key: value" ----

-- A value is JSON where it looks like it, else the text itself.
local function value_of(text)
  if text:find('^["{%[]') or text == "true" or text == "false" or text == "null"
    or (text:find("^-?%d") and json.decode(text) ~= nil) then
    return json.decode(text, { safe_integers = true })
  end
  return text
end

-- "variables.name" -> the table it goes into, the name in it, its pointer; or nil and what is wrong.
local function target(document, key)
  local outer, name = key:match("^([%a]+)%.(.+)$")
  if not outer then
    if not key:find("^%a[%w]*$") then return nil, ("%q is no key: key: value is wanted"):format(key) end
    return document, key, "/" .. key
  end
  if not NESTED[outer] then return nil, ("%q: only variables., abTestingTrigger. and metadata. have names below them")
    :format(key) end
  if document[outer] == nil then document[outer] = {} end
  if not documents.is_object(document[outer]) then return nil, ("%q: %s has a value already"):format(key, outer) end
  return document[outer], name, documents.pointer("/" .. outer, name)
end

-- One line of front matter into the document -> pointer; or nil and what is wrong.
local function take_line(document, line)
  if line:find("^%s") then
    return nil, "begins with white space: nested values are written as variables.name: string"
  end
  local key, text = line:match("^([^:]-)%s*:%s*(.-)%s*$")
  if not key or key == "" then return nil, "is not key: value" end
  local place, name, pointer = target(document, key)
  if not place then return nil, name end
  if place[name] ~= nil then return nil, ("%s is there twice"):format(key) end
  if text == "" then return nil, ("%s has no value"):format(key) end
  local value, err = value_of(text)
  if value == nil then return nil, ("%s: is not valid JSON: %s"):format(key, err.message) end
  place[name] = value
  return pointer
end

local function of_lines(path, header, faults)
  local document, lines = {}, {}
  for n, line in ipairs(header) do
    if line:find("%S") and not line:find("^#") then
      local pointer, fault = take_line(document, line)
      if pointer then
        lines[pointer] = n + 1
        local outer = pointer:match("^(/[^/]+)/")
        if outer then lines[outer] = lines[outer] or n + 1 end
      else
        documents.add(faults, path, nil, fault, n + 1)
      end
    end
  end
  return document, function(pointer) return lines[pointer] or lines[pointer:match("^/[^/]*")] or 1 end
end

-- The header's text -> document, function(pointer) -> line; or nil. The header begins on the file's second line.
local function of_header(path, header, faults)
  local text = "\n" .. table.concat(header, "\n") -- as many lines down as it is in the file
  if not text:find("^%s*{") then return of_lines(path, header, faults) end
  local document = documents.decode(path, text, faults)
  if document == nil then return nil end
  return document, function(pointer) return locate.line(text, pointer) end
end

-- ---- text ----

-- text -> header lines | nil, content, the line the content begins on; or nil, nil and a fault's line.
local function split(text)
  local first, at = text:match("^([^\n]*)\n?()")
  if not first:gsub("\r$", ""):find(FENCE) then return nil, text, 1 end
  local header = {}
  while at <= #text do
    local line, stop = text:match("^([^\n]*)\n?()", at)
    line, at = line:gsub("\r$", ""), stop
    if line:find(FENCE) then return header, text:sub(at), #header + 3 end
    header[#header + 1] = line
  end
  return nil, nil, 1
end

local function side_file(path)
  return (path:gsub("%.[^./]*$", "")) .. ".meta.json"
end

local function of_side(path, opts, faults)
  local text = documents.read(path, { what = "a template's metadata", max_bytes = opts.max_bytes }, faults)
  local document = text and documents.decode(path, text, faults)
  if document == nil then return nil end
  if not documents.is_object(document) then
    return documents.add(faults, path, "", "must be an object: templateId, version, variables, …")
  end
  return document, function(pointer) return locate.line(text, pointer) end
end

-- The line and column of the first byte that is no UTF-8.
local function bad_byte(text)
  local _, at = utf8.len(text)
  if not at then return nil end
  local before = text:sub(1, at - 1)
  local _, newlines = before:gsub("\n", "\n")
  return newlines + 1, utf8.len(before:match("[^\n]*$")) + 1
end

local function of_text(path, text, opts, faults)
  local line, column = bad_byte(text)
  if line then return documents.add(faults, path, nil, "is not UTF-8", line, column) end
  if text:find("^\u{FEFF}") then
    return documents.add(faults, path, nil, "begins with a byte order mark; save it without one", 1)
  end
  local header, content, first = split(text)
  local side = side_file(path)
  local has_side = fs.stat(side) ~= nil
  if not content then return documents.add(faults, path, nil, "its front matter has no end: a line ---", 1) end
  if header and has_side then
    return documents.add(faults, path, nil, ("has front matter, and there is %s too: keep one of them"):format(side), 1)
  elseif not header and not has_side then
    return documents.add(faults, path, nil,
      ("has no metadata: begin it with front matter (---), or write %s"):format(side), 1)
  end
  local meta = header and path or side
  local document, line_of
  if header then
    document, line_of = of_header(path, header, faults)
  else
    document, line_of = of_side(side, opts, faults)
  end
  if not document then return nil end
  local at = line_of("/content")
  if document.content ~= nil then
    documents.add(faults, meta, "/content", "is the text of the file; it can't be metadata too", at)
  end
  document.content = content:gsub("\r?\n$", "")
  return {
    file = path, document = document, content_line = first,
    place = function(pointer)
      if pointer == "/content" then return path, first end
      return meta, line_of(pointer)
    end,
  }
end

-- M.wanted(name) -> whether a file of a folder is a template.
function M.wanted(name)
  return name:find("%.meta%.json$") == nil and (name:find("%.json$") or name:find("%.txt$")) ~= nil
end

-- M.read(path, {max_bytes}, faults) -> source; or nil. Faults are added to the list; a source may come with some.
function M.read(path, opts, faults)
  local text = documents.read(path, { what = WHAT, max_bytes = opts.max_bytes }, faults)
  if not text then return nil end
  if path:find("%.json$") then return of_json(path, text, faults) end
  return of_text(path, text, opts, faults)
end

return M
