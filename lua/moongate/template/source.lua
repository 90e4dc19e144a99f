-- source.lua - a template's files: one JSON document, or a text with its metadata in front of it or beside it. For
-- template.lua.
--
-- A source is {file, document, place = function(pointer) -> file, line; content_line = the line of the file that the
-- content begins on (a text file), or nil}.

local documents = require "moongate.documents"
local fs = require "moongate.fs"
local json = require "moongate.json"
local locate = require "moongate.locate"
local plain_text = require "moongate.plain_text"

local M = {}

local WHAT = "a template"
local NESTED = { variables = true, abTestingTrigger = true, metadata = true }
local FENCE, END = "^%-%-%-%s*$", "^%.%.%.%s*$"

-- ---- JSON ----

local function of_json(path, text, faults)
  local document = documents.decode(path, text, faults)
  if document == nil then return nil end
  return { file = path, document = document, place = function(pointer) return path, locate.line(text, pointer) end }
end

-- ---- front matter: a JSON object, or lines "key: value" ----

local WORDS = {
  ["true"] = true, ["True"] = true, ["TRUE"] = true, ["false"] = false, ["False"] = false, ["FALSE"] = false,
  null = json.null, Null = json.null, NULL = json.null, ["~"] = json.null,
}

-- A value that begins with one of these means in YAML what is not read here; '%', '@' and '`' mean nothing there.
local NOT_PLAIN = "^[|>&*!%%@`]"

-- A quoted value and what follows it -> value, rest of the line; or nil and what is wrong. YAML's '' is a quote.
local function quoted(text)
  local at = 2
  while true do
    local mark = text:find(text:sub(1, 1) == "'" and "'" or '["\\]', at)
    if not mark then return nil, "its quote is not closed" end
    if text:byte(mark) == 92 or text:sub(mark, mark + 1) == "''" then -- an escape
      at = mark + 2
    elseif text:sub(1, 1) == "'" then
      return text:sub(2, mark - 1):gsub("''", "'"), text:sub(mark + 1)
    else
      local value, err = json.decode(text:sub(1, mark))
      if value == nil then return nil, "is not valid JSON: " .. err.message end
      return value, text:sub(mark + 1)
    end
  end
end

-- What begins like a list or an object is JSON; a comment may follow it.
local function structured(text)
  local value, err = json.decode(text, { safe_integers = true })
  local at = 1
  while value == nil do
    local comment = text:find("%s#", at)
    if not comment then return nil, "is not valid JSON: " .. err.message end
    value, at = json.decode(text:sub(1, comment - 1), { safe_integers = true }), comment + 1
  end
  return value
end

-- The text behind "key:" -> value; or nil and what is wrong. Plain and quoted words are as in YAML, lists and objects
-- JSON. "" is for no value.
local function value_of(text)
  if text:find "^[\"']" then
    local value, rest = quoted(text)
    if value == nil then return nil, rest end
    if not rest:find "^%s*$" and not rest:find "^%s+#" then return nil, "has more text behind the closing quote" end
    return value
  end
  if text:find "^[{%[]" then return structured(text) end
  text = text:gsub("^#.*$", ""):gsub("%s+#.*$", ""):gsub("%s+$", "")
  if text:find(NOT_PLAIN) then
    return nil, ("begins with '%s', which is not read here: put the value into quotes"):format(text:sub(1, 1))
  end
  if WORDS[text] ~= nil then return WORDS[text] end
  if text:find("^-?%d") and json.decode(text) ~= nil then
    local value, err = json.decode(text, { safe_integers = true })
    return value, err and "is not valid JSON: " .. err.message
  end
  return text
end

-- "variables.name" -> the table it goes into, the name in it, its pointer; or nil and what is wrong.
local function target(document, key)
  local outer, name = key:match("^([%a]+)%.(.+)$")
  if not outer then
    if not key:find("^%a[%w]*$") then return nil, ("%q is not a key; expected key: value"):format(key) end
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
  if key then key = key:gsub("^(['\"])(.*)%1$", "%2") end
  if not key or key == "" then return nil, "is not key: value" end
  local place, name, pointer = target(document, key)
  if not place then return nil, name end
  if place[name] ~= nil then return nil, ("%s is there twice"):format(key) end
  local value, err = value_of(text)
  if value == nil then return nil, ("%s: %s"):format(key, err) end
  if value == "" and not text:find "^[\"']" then return nil, ("%s has no value"):format(key) end
  place[name] = value
  return pointer
end

local function of_lines(path, header, faults)
  local document, lines = {}, {}
  for n, line in ipairs(header) do
    if line:find("%S") and not line:find("^%s*#") then
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
  if not first:find(FENCE) then return nil, text, 1 end
  local header = {}
  while at <= #text do
    local line, stop = text:match("^([^\n]*)\n?()", at)
    at = stop
    if line:find(FENCE) or line:find(END) then return header, text:sub(at), #header + 3 end
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
  local header, content, first = split(plain_text.lines(text)) -- the same prompt, whatever system it was written on
  local side = side_file(path)
  local has_side = path ~= "-" and fs.stat(side) ~= nil
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
  document.content = content:gsub("\n$", "")
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
  local info = path ~= "-" and fs.stat(path)
  local is_pipe = not info or info.type ~= "file" -- which has no extension to go by
  if path:find("%.json$") or (is_pipe and text:find "^%s*{") then return of_json(path, text, faults) end
  return of_text(path, text, opts, faults)
end

return M
