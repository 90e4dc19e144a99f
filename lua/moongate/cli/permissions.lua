-- permissions.lua - what a workflow says it needs, held against what it is allowed: src/host/permit.c decides, this
-- tells people beforehand.
local errors = require "moongate.error"
local host = require "moongate.host"

local M = {}

M.KINDS = { "net", "read", "write", "env" }

local NAMES = { net = "network", read = "read", write = "write", env = "environment" }

local function quoted(what)
  return what:find "[^%w%-%._:/*@%%+=,]" and "'" .. what:gsub("'", [['\'']]) .. "'" or what
end

-- "--allow-net=hooks.example.com"
function M.flag(kind, what) return ("--allow-%s=%s"):format(kind, quoted(what)) end

-- What is declared, as rows for help.
function M.rows(declared)
  local rows = {}
  for _, kind in ipairs(M.KINDS) do
    local list = declared and declared[kind]
    if list and #list > 0 then rows[#rows + 1] = { kind, table.concat(list, ", ") } end
  end
  return rows
end

-- "set-dimensions needs: network a.example.com; read data" or nil
local function told(name, declared)
  local parts = {}
  for _, row in ipairs(M.rows(declared)) do parts[#parts + 1] = (NAMES[row[1]] or row[1]) .. " " .. row[2] end
  return #parts > 0 and ("%s needs: %s"):format(name, table.concat(parts, "; ")) or nil
end

-- Raises, with every flag that is missing, unless a script is allowed all that it declares.
function M.check(name, declared)
  local missing = {}
  for _, kind in ipairs(M.KINDS) do
    for _, what in ipairs(declared and declared[kind] or {}) do
      local allowed, err = host.allows(kind, what)
      if allowed == nil then
        err.message = ("permissions.%s: %s"):format(kind, err.message)
        error(err, 0)
      end
      if not allowed then
        missing[#missing + 1] = M.flag(kind, what)
        host.note_access(kind, what, false)
      end
    end
  end
  if #missing > 0 then
    errors.raise {
      code = "denied",
      message = ("%s; allow it with %s"):format(told(name, declared), table.concat(missing, " ")),
      hint = "Flags may appear in any position. To allow it permanently: permissions = {...} in moongate.lua.",
    }
  end
end

-- getenv(name), and a function that raises when a variable would have been used and is not allowed.
function M.environment()
  local missing = {}
  local function getenv(name)
    local value = host.getenv(name)
    if value == nil then return nil end
    local allowed = host.allows("env", name)
    host.note_access("env", name, allowed)
    if allowed then return value end
    missing[#missing + 1] = name
  end
  local function check(words_say_why)
    if #missing == 0 then return end
    local flags = {}
    for i, name in ipairs(missing) do flags[i] = M.flag("env", name) end
    errors.raise {
      code = "denied",
      message = ("a script needs permission to read the environment: %s; allow it with %s%s"):format(
        table.concat(missing, ", "), table.concat(flags, " "), words_say_why),
    }
  end
  return getenv, check
end

return M
