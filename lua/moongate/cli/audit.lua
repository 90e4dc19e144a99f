-- audit.lua - `moongate audit verify` and `moongate audit show`.
local audit = require "moongate.audit"
local errors = require "moongate.error"
local exit_status = require "moongate.cli.exit_status"
local fail = require "moongate.cli.fail"
local flags = require "moongate.cli.flags"
local host = require "moongate.host"
local report = require "moongate.cli.report"
local text = require "moongate.cli.text"
local time = require "moongate.time"

local M = {}

-- The log's path, and nil; or for the default path of a log that does not exist yet, true.
local function path_of(args)
  local path = args.file or host.state().audit
  return path, not args.file and host.access(path) == nil
end

-- A verdict of audit.verify as a line.
function M.verdict(path, r)
  if r.first_bad then
    return ("%s: line %d: %s; the lines before it are good"):format(path, r.first_bad, r.reason)
  end
  local line = ("%s: %s, every hash is good"):format(path, text.count(r.lines, "line"))
  if r.head then
    line = line .. "; it ends with the line that was written last"
  elseif r.lines > 0 then
    line = ("%s; whether lines are missing at its end can't be told without %s.head (the last is %s)"):format(line,
      path:match "[^/]*$", r.last_hash:sub(1, 16))
  end
  if r.previous then
    line = ("%s\nit continues a log that was moved, removed or emptied after line %d%s"):format(line, r.previous,
      r.continues and ": " .. r.continues or ", and can't be found")
  end
  local open = r.open_intents and #r.open_intents or 0
  if open > 0 then
    line = line .. ("\n%s without an outcome (seq %s): what became of it is not known"):format(
      text.count(open, "intent"), table.concat(r.open_intents, ", ", 1, math.min(open, 10)))
  end
  return line
end

-- The log that this one continues, where rotation has put it: a file beside it that ends with that line. nil: none.
local function predecessor(path, r)
  local folder, name = path:match "^(.*)/([^/]*)$"
  folder, name = folder or ".", name or path
  local stem = name:gsub("%.jsonl$", "")
  for _, file in ipairs(host.fs.list(folder == "" and "/" or folder) or {}) do
    if file ~= name and file:sub(1, #stem) == stem and not file:find "%.head$" and not file:find "%.torn%-" then
      local other = audit.verify(folder .. "/" .. file)
      if other and not other.first_bad and other.lines == r.previous and other.last_hash == r.previous_hash then
        return folder .. "/" .. file
      end
    end
  end
end

function M.verify(ctx, args)
  local path, missing = path_of(args)
  if missing then return ctx:result({ path = path, lines = 0 }, ("%s: nothing was logged yet"):format(path)) end
  local r, err = audit.verify(path)
  if not r then error(err, 0) end
  r.path = path
  if r.previous and not r.first_bad then
    r.continues = predecessor(path, r)
    if not r.continues then
      ctx:result(r, M.verdict(path, r))
      return exit_status.VERIFY
    end
  end
  if not r.first_bad then return ctx:result(r, M.verdict(path, r)) end
  local failure = errors.new {
    code = "verify", where = ("%s:%d"):format(path, r.first_bad),
    message = r.reason .. "; the lines before it are good",
    hint = r.torn and "a crash cut the last line short; the next event sets it aside and goes on"
      or "Keep a copy of the file; nothing more is written to it until it is moved away.",
  }
  report.tell(ctx, failure)
  local document = report.document(failure, exit_status.VERIFY)
  document.lines, document.first_bad, document.torn, document.path = r.lines, r.first_bad, r.torn, path
  ctx:result(document, "")
  return exit_status.VERIFY
end

-- "2h" -> two hours ago; a date or time, or the beginning of one, as it is.
local function moment(flag, s)
  if not s then return nil end
  local ago = flags.duration(s)
  if ago and s:find("%a$") then return time.iso(time.now() - ago) end
  if not s:find("^%d%d%d%d") or s:find("[^%d%-:.TZ]") then
    fail.usage("--%s needs a date, a UTC time such as 2026-11-20T07:30, or how long ago (2h), not '%s'", flag, s)
  end
  return s
end

-- Who, where and for which run comes last, in this order.
local IDENTITY = { "run", "gateway", "client_id", "user", "host", "simulated" }
local OWN = { seq = true, time = true, phase = true, action = true, prev = true, hash = true, intent = true }
for _, name in ipairs(IDENTITY) do OWN[name] = true end

-- "2026-11-20T07:31:37.042Z  12 outcome of 11  index_update  indexId=orders status=UPDATED"
function M.line(entry)
  local names, parts = {}, {}
  for name in pairs(entry) do if not OWN[name] then names[#names + 1] = name end end
  table.sort(names)
  for _, name in ipairs(IDENTITY) do
    if entry[name] ~= nil then names[#names + 1] = name end
  end
  for i, name in ipairs(names) do
    local v = entry[name]
    parts[i] = name .. "=" .. (type(v) == "string" and not v:find("[%s\"]") and v or require("moongate.json").encode(v))
  end
  local phase = entry.phase or "?"
  if entry.intent then phase = ("%s of %s"):format(phase, entry.intent) end
  return ("%s  %s %s  %s  %s"):format(entry.time or "?", entry.seq or "?", phase, entry.action or "?",
    table.concat(parts, " "))
end

local function any(list, value)
  for _, wanted in ipairs(list) do if wanted == value then return true end end
  return #list == 0
end

-- Events of a log. The log's own filter takes one action and one outcome; several are told apart here.
local function matching(path, args)
  local single = #args.action < 2 and #args.outcome < 2
  local entries, err = audit.read(path, {
    since = moment("since", args.since), ["until"] = moment("until", args["until"]),
    action = single and args.action[1] or nil, outcome = single and args.outcome[1] or nil,
    run = args.run, last = single and args.last or nil,
  })
  if not entries then error(err, 0) end
  if single then return entries end
  local out = {}
  for _, entry in ipairs(entries) do
    if any(args.action, entry.action) and (any(args.outcome, entry.outcome) or any(args.outcome, entry.status)) then
      out[#out + 1] = entry
    end
  end
  return args.last and #out > args.last and table.move(out, #out - args.last + 1, #out, 1, {}) or out
end

function M.show(ctx, args)
  local path, missing = path_of(args)
  local entries = missing and {} or matching(path, args)
  local lines = {}
  for i, entry in ipairs(entries) do lines[i] = M.line(entry) end
  ctx:result(require("moongate.json").array(entries), table.concat(lines, "\n"))
end

return M
