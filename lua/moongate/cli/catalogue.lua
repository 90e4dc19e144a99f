-- catalogue.lua - which workflows there are, and where: those in the program, then ./workflows, then the folders of
-- $MOONGATE_PATH. What is in the program goes first, so that no folder that one happens to be in replaces a command; of
-- two files, the first found counts. What is hidden this way is told by `moongate list`.
local bundled = require "moongate.cli.bundled"
local fs = require("moongate.host").fs -- what the user names, not a script
local host = require "moongate.host"
local lexer = require "moongate.cli.lexer"
local plain_text = require "moongate.plain_text"

local M = {}

local HERE, FILE_MAX = "workflows", 1 << 20

-- The folders that are looked through, in order.
function M.folders()
  local list = { HERE }
  for folder in (host.getenv "MOONGATE_PATH" or ""):gmatch "[^:]+" do
    list[#list + 1] = folder:gsub("(.)/+$", "%1")
  end
  return list
end

-- "deploy_index.lua" -> "deploy-index"
local function name_of(file)
  local base = file:match "^(%l[%l%d_-]*)%.lua$"
  return base and (base:gsub("_", "-"))
end

-- M.find(name) -> path of its file, nil for a bundled one and for none
function M.find(name)
  if bundled.exists(name) or not name:find "^%l[%l%d-]*$" then return nil end
  for _, folder in ipairs(M.folders()) do
    for _, file in ipairs { name:gsub("-", "_") .. ".lua", name .. ".lua" } do
      local path = folder .. "/" .. file
      local stat = fs.stat(path)
      if stat and stat.type == "file" then return path end
    end
  end
end

-- Files of workflows in the folders, in order: {name, path, hidden = what goes before it}
local function found()
  local list, seen = {}, {}
  for _, name in ipairs(bundled.all_names()) do seen[name] = "moongate's own" end
  for _, folder in ipairs(M.folders()) do
    for _, file in ipairs(fs.list(folder) or {}) do
      local name = name_of(file)
      if name then
        local path = folder .. "/" .. file
        list[#list + 1] = { name = name, path = path, hidden = seen[name] }
        seen[name] = seen[name] or path
      end
    end
  end
  return list
end

-- Whether a source defines a workflow: a plain script must not be run to find out what it is.
local function defines(text)
  if not load(text, "=", "t", {}) then return true end -- the fault is told when it is loaded
  for _, token in ipairs(lexer.tokens(text)) do
    if token.kind == "name" and token.text == "define" then return true end
  end
  return false
end

-- M.definition(path) -> definition | nil, why not
function M.definition(path)
  local bytes, err = fs.read(path, FILE_MAX)
  if not bytes then return nil, err.message end
  local text, why = plain_text.normal(bytes)
  if not text then return nil, why end
  if not defines(text:sub(1, 1) == "#" and "--" .. text or text) then return nil, "a plain script" end
  local chunk
  chunk, err = require("moongate.sandbox").load_script(path)
  if not chunk then return nil, tostring(err) end
  local ok, definition = pcall(chunk)
  if not ok then return nil, tostring(definition) end
  if not require("moongate.workflow").is(definition) then return nil, "a plain script" end
  return definition
end

local function entry_of(name, definition, more)
  local entry = {
    name = name, place = more.path or "moongate", path = more.path, hidden = more.hidden, fault = more.fault,
  }
  if definition then
    entry.summary, entry.author, entry.definition = definition.summary, definition.author, definition
    entry.categories = definition.categories or {}
  end
  return entry
end

-- M.entries() -> list of {name, place, summary, author, categories, definition, path, hidden, fault}, by name; bundled
-- ones have no path.
function M.entries()
  local list = {}
  for _, name in ipairs(bundled.names()) do list[#list + 1] = entry_of(name, bundled.load(name), {}) end
  for _, file in ipairs(found()) do
    local definition, fault = M.definition(file.path)
    list[#list + 1] = entry_of(file.name, definition, { path = file.path, hidden = file.hidden, fault = fault })
  end
  table.sort(list, function(a, b)
    if a.name ~= b.name then return a.name < b.name end
    return (a.hidden and 1 or 0) < (b.hidden and 1 or 0)
  end)
  return list
end

-- Names alone, of those that can be run; nothing is loaded.
function M.names()
  local names = bundled.names()
  for _, file in ipairs(found()) do
    if not file.hidden then names[#names + 1] = file.name end
  end
  table.sort(names)
  return names
end

return M
