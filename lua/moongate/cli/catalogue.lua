-- catalogue.lua - which workflows there are, and where: those in the program, then ./workflows, then the folders of
-- $MOONGATE_PATH. What is in the program goes first, so that no folder that one happens to be in replaces a command; of
-- two files, the first found counts. What is hidden this way is told by `moongate list`.
local bundled = require "moongate.bundled"
local command_names = require "moongate.cli.names"
local errors = require "moongate.error"
local fs = require("moongate.host").fs -- what the user names, not a script
local host = require "moongate.host"
local lexer = require "moongate.source.lexer"
local plain_text = require "moongate.plain_text"

local M = {}

local HERE, FILE_MAX = "workflows", 1 << 20

-- Why the files of ./workflows are not to be run, or nil: a folder that one happens to be in is anybody's until its
-- user has allowed it.
local function not_allowed()
  if host.folder_allowed() then return nil end
  return errors.new {
    code = "denied", hint = "Look at the files, then run: moongate allow",
    message = "this folder was never allowed on this machine, or its moongate.lua has changed since",
  }
end

-- The same of one file, which others could have written.
local function not_own(path)
  local ok, err = host.own(path)
  if ok or err.code ~= "denied" or host.trusts(path) then return nil end
  err.hint = "Change its owner or mode, or run moongate with --trust=DIR."
  return err
end

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

-- M.find(name) -> path of its file, nil for a bundled one and for none. Raises "denied" for one that is not allowed.
function M.find(name)
  if bundled.exists(name) or not name:find "^%l[%l%d-]*$" then return nil end
  for _, folder in ipairs(M.folders()) do
    for _, file in ipairs { name:gsub("-", "_") .. ".lua", name .. ".lua" } do
      local path = folder .. "/" .. file
      local stat = fs.stat(path)
      if stat and stat.type == "file" then
        local err = folder == HERE and not_allowed() or not_own(path)
        if err then
          err.message = ("%s is not run: %s"):format(path, err.message)
          error(err, 0)
        end
        return path
      end
    end
  end
end

-- Files of workflows in the folders, in order: {name, path, hidden = what goes before it}
local function found()
  local list, seen = {}, {}
  for _, name in ipairs(command_names.all()) do seen[name] = "moongate's own" end
  for _, folder in ipairs(M.folders()) do
    local denied = folder == HERE and not_allowed() or nil
    for _, file in ipairs(fs.list(folder) or {}) do
      local name = name_of(file)
      if name then
        local path = folder .. "/" .. file
        list[#list + 1] = { name = name, path = path, hidden = seen[name], denied = denied or not_own(path) }
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
  host.read_only_definitions(path:match "^(.*)/[^/]*$" or ".")
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
    denied = more.denied,
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
    local definition, fault
    if file.denied then
      fault = ("not allowed: %s. %s"):format(file.denied.message, file.denied.hint)
    else
      definition, fault = M.definition(file.path)
    end
    list[#list + 1] = entry_of(file.name, definition, {
      path = file.path, hidden = file.hidden, fault = fault, denied = file.denied,
    })
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
    if not file.hidden and not file.denied then names[#names + 1] = file.name end
  end
  table.sort(names)
  return names
end

return M
