-- script_audit.lua - the audit log as a script has it: it may read it, and add events that say whose they are. Intents,
-- outcomes and moongate's own actions can't be written by a script. For sandbox.lua and the handles of runs and
-- gateways.

local errors = require "moongate.error"
local host = require "moongate.host"
local json = require "moongate.json"
local scope = require "moongate.scope"
local sealed = require "moongate.sealed"
local task = require "moongate.task"
local time = require "moongate.time"

local M = {}

-- Bounds for all scripts and tasks of the process together: a script that may write nothing must not fill the disk.
M.BURST = 4 << 20      -- bytes that may be written immediately
M.RATE = 64 << 10      -- bytes per second beyond that: the script waits
M.TOTAL = 64 << 20     -- bytes of one process
local LEAST = 512      -- what an event counts for: the log adds members of its own

-- Members that moongate sets, also where it has nothing to say.
local OWN = { "source", "stage", "of", "run", "record", "gateway", "client_id", "user", "host", "simulated" }

local bucket = { left = M.BURST, spent = 0 }

-- Waits until so many bytes may be written -> true | nil, err
local function take(bytes)
  if bucket.spent + bytes > M.TOTAL then
    return nil, errors.new {
      code = "too_large",
      message = ("the script's audit events exceed %d MiB"):format(M.TOTAL >> 20),
      hint = "Write results and details to a file (--allow-write).",
    }
  end
  bucket.spent = bucket.spent + bytes
  local now = time.monotonic()
  bucket.left = math.min(M.BURST, bucket.left + (now - (bucket.at or now)) * M.RATE) - bytes
  bucket.at = now
  if bucket.left < 0 then task.sleep(-bucket.left / M.RATE) end
  return true
end

local function marked(fields, stage)
  if type(fields) ~= "table" then error(("bad argument #1 (table expected, got %s)"):format(type(fields)), 3) end
  local line = {}
  for name, value in next, fields do line[name] = value end
  for _, name in ipairs(OWN) do line[name] = nil end
  local action = line.action
  if action == nil or type(action) ~= "string" or action == "" then return line end -- the log says what is wrong
  line.action = action:find "^script%." and action or "script." .. action
  line.source, line.stage = "script", stage
  local context = scope.get()
  line.run = context and context.journal.id or nil
  return line
end

local function write(event, line)
  local text = json.encode(line)
  local ok, err = take(math.max(text and #text or 0, LEAST))
  if not ok then return nil, err end
  return event(line)
end

-- M.of(audit) -> what a script gets of it.
function M.of(audit)
  local event = audit.event -- audit may be the very table that this goes into
  local out = { path = audit.path, verify = audit.verify, read = audit.read }
  function out.event(fields) return write(event, marked(fields)) end
  -- What a script is about to do, and what came of it: events, too.
  function out.intent(fields)
    local line = marked(fields, "before")
    local seq, err = write(event, line)
    if not seq then return nil, err end
    local entry, told = { seq = seq }, false
    function entry.outcome(_, more)
      if told then error(("entry:outcome: event %d has its outcome already"):format(seq), 2) end
      local copy = {}
      for name, value in next, more do copy[name] = value end
      if copy.action == nil then copy.action = line.action end
      local last = marked(copy, "after")
      last.of, told = seq, true
      local written, why = write(event, last)
      if not written then told = false return nil, why end
      return true
    end
    return entry
  end
  return out
end

-- M.given(audit) -> what the code that asks gets: a script the above, a bundled workflow and a test a copy.
function M.given(audit)
  if host.restricted() then return M.of(audit) end
  return sealed.copy(audit)
end

return M
