-- input.lua - what the files and folders that a command line names hold, as hashes: a run that is resumed with other
-- content must not pass for the one that it was. For cli/journaled.lua and cli/runs.lua.

local errors = require "moongate.error"
local hash = require "moongate.hash"
local host = require "moongate.host"
local json = require "moongate.json"
local log = require "moongate.log"

local M = {}

local READ_MAX = 16 << 20  -- bytes of a file that is hashed; of a larger one size and time must do
local FILES_MAX = 1000     -- of a folder

-- A saved plan stays the same when somebody approves it.
local function without_approvals(text)
  if not text:find('"approvals"', 1, true) then return text end
  local document = json.decode(text)
  if type(document) ~= "table" or type(document.plan) ~= "table" or document.approvals == nil then return text end
  document.approvals = nil
  return json.encode(document) or text
end

local function of_file(path, info)
  local text = info.size <= READ_MAX and host.fs.read(path, READ_MAX)
  if not text then return ("%d bytes of %s"):format(info.size, tostring(info.mtime)) end
  return hash.sha256(without_approvals(text))
end

local function of_folder(path)
  local names = host.fs.list(path)
  if not names or #names > FILES_MAX then return nil end
  table.sort(names)
  local parts = {}
  for _, name in ipairs(names) do
    local info = host.fs.stat(path .. "/" .. name)
    if info and info.type == "file" then
      parts[#parts + 1] = name .. "\0" .. of_file(path .. "/" .. name, info)
    end
  end
  return hash.sha256(table.concat(parts, "\0"))
end

-- A word, or the value of "--flag=value".
local function print_of(word)
  for _, path in ipairs { word, word:match "^%-%-[%w-]+=(.+)$" } do
    local info = path ~= "" and path ~= "-" and host.fs.stat(path)
    if info and info.type == "file" then return of_file(path, info) end
    if info and info.type == "directory" then return of_folder(path) end
  end
end

-- M.prints(words) -> number of the word, as text -> hash of what it names; nil where none names anything.
function M.prints(words)
  local prints = {}
  for i, word in ipairs(words) do prints[tostring(i)] = print_of(word) end
  return next(prints) and prints or nil
end

-- M.check(run): what its words name holds what it did when the run was started; what is gone is not compared. Raises
-- for a bundled workflow. A script's own may be files that it writes: that is only said.
function M.check(run)
  local kept = run.options.input or {}
  local changed = {}
  for i, word in ipairs(run.words) do
    if word == "-" then log.warn("run %s: standard input can't be compared with the original input", run.id) end
    local print = kept[tostring(i)]
    local now = print and print_of(word)
    if now and now ~= print then changed[#changed + 1] = word end
  end
  if #changed == 0 then return end
  local names = table.concat(changed, ", ")
  if not run.options.bundled then
    return log.warn("run %s: %s changed since the run was started", run.id, names)
  end
  errors.raise {
    code = "conflict", outcome = "not_sent",
    message = ("%s changed since run %s was started"):format(names, run.id),
    hint = "To use the file as it is now, start a new run (another --run-id).",
  }
end

return M
