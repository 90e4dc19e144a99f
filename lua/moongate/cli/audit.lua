-- audit.lua - `moongate audit verify|show|checkpoint|prove|verify-proof|rotate`.
local audit = require "moongate.audit"
local checkpoint = require "moongate.checkpoint"
local errors = require "moongate.error"
local exit_status = require "moongate.exit_status"
local fail = require "moongate.fail"
local flags = require "moongate.flags"
local host = require "moongate.host"
local json = require "moongate.json"
local report = require "moongate.cli.report"
local text = require "moongate.text"
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
    line = ("%s; missing lines at its end can't be detected without %s.head (the last is %s)"):format(line,
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

-- ---- verify ----

local function bad(path, line, reason, hint)
  errors.raise {
    code = "verify", where = line and ("%s:%d"):format(path, line) or path, message = reason, hint = hint,
  }
end

-- Intents of older segments that a later one has the outcome of are not open.
local function settle(open, settled)
  local done, left = {}, {}
  for _, seq in ipairs(settled) do done[seq] = true end
  for _, seq in ipairs(open) do
    if not done[seq] then left[#left + 1] = seq end
  end
  return left
end

-- A segment has the lines that its name says, and its last one says that it was closed.
local function check_segment(s, r)
  if r.lines == 0 or r.first_seq ~= s.first then
    bad(s.path, s.first, r.lines == 0 and "it is empty" or ("it begins with line %d"):format(r.first_seq))
  elseif r.last_seq ~= s.last then
    bad(s.path, math.min(r.last_seq, s.last) + 1, ("it ends with line %d, not with line %d as its name says"):format(
      r.last_seq, s.last))
  elseif not r.rotated then
    bad(s.path, s.last, "it is not the end of a segment")
  end
end

-- Takes a segment's report into the sum of all, and holds it against the one before.
local function join(sum, before, s, r)
  if r.first_bad then
    sum.torn = r.torn
    sum.lines = sum.lines + r.lines
    local line = r.lines > 0 and r.first_bad or s.first or before and before.last_seq + 1 or r.first_bad
    bad(s.path, line, r.reason .. "; the lines before it are good", r.torn
      and "a crash truncated the last line; the next event moves it aside"
      or "Keep a copy of the file; nothing more is written to it until it is moved away.")
  end
  if s.first then check_segment(s, r) end
  if before and r.lines > 0 and not r.previous then
    if r.first_seq ~= before.last_seq + 1 then
      sum.missing[#sum.missing + 1] = { first = before.last_seq + 1, last = r.first_seq - 1 }
      if r.first_seq <= before.last_seq then
        bad(s.path, r.first_seq, "it has lines that the segment before it has, too")
      end
    elseif r.first_prev ~= before.last_hash then
      bad(s.path, r.first_seq, "it does not continue the segment before it: its prev is not that one's last hash")
    end
  elseif not before and r.lines > 0 and r.continued then
    sum.missing[1] = { first = 1, last = r.first_seq - 1 }
  end
  local open = settle(sum.open_intents, r.settled)
  table.move(r.open_intents, 1, #r.open_intents, #open + 1, open)
  sum.open_intents = json.array(open)
  sum.lines, sum.set_aside = sum.lines + r.lines, sum.set_aside + r.set_aside
  sum.head, sum.last_hash = r.head, r.last_hash
  sum.previous, sum.previous_hash = r.previous or sum.previous, r.previous_hash or sum.previous_hash
end

-- Checks the segments of a log and their chain -> report of all. Raises "verify".
local function verify_chain(sum, path)
  local before
  for _, s in ipairs(checkpoint.segments(path)) do
    local r, err = audit.verify(s.path)
    if not r then error(err, 0) end
    join(sum, before, s, r)
    sum.segments[#sum.segments + 1] = s.path
    if r.lines > 0 then before = r end
  end
end

-- The checkpoints in a file, or the files *.checkpoint of a folder.
local function read_checkpoints(from, vkeys)
  local list, files = {}, { from }
  local info = host.fs.stat(from)
  if info and info.type == "directory" then
    files = {}
    for _, name in ipairs(assert(host.fs.list(from))) do
      if name:find "%.checkpoint$" then files[#files + 1] = from .. "/" .. name end
    end
    if #files == 0 then
      errors.raise { code = "not_found", message = ("%s contains no *.checkpoint file"):format(from) }
    end
  end
  for i, file in ipairs(files) do
    local content, err = host.fs.read(file, 1 << 20)
    if not content then error(err, 0) end
    local ok, c = pcall(checkpoint.open, content, vkeys)
    if not ok then
      if errors.is(c) then bad(file, nil, ("%s: %s"):format(file, c.message)) end
      error(c, 0)
    end
    list[i] = c
  end
  return list
end

local function check_vkeys(vkeys)
  local note = require "moongate.note"
  if #vkeys == 0 then fail.usage "a checkpoint needs --vkey, the verifier key of who signed it" end
  for _, vkey in ipairs(vkeys) do
    local name, err = note.name(vkey)
    if not name then fail.usage("--vkey: %s", err.message) end
  end
  return vkeys
end

-- Holds the log against the checkpoints that were given, and against the last one that was signed here.
local function verify_checkpoints(sum, path, args)
  local list = args.checkpoints and read_checkpoints(args.checkpoints, check_vkeys(args.vkey)) or {}
  if not args.checkpoints and #args.vkey > 0 then fail.usage "--vkey is for --checkpoints" end
  local own = checkpoint.last(path)
  if own and #list > 0 and own.origin == list[1].origin then
    list[#list + 1] = own
  elseif own then
    checkpoint.check(path, { own })
  end
  if not args.checkpoints then
    sum.signed = own and own.size or nil
    return
  end
  sum.checkpoints = #list - (own and list[#list] == own and 1 or 0)
  sum.bound = checkpoint.check(path, list)
end

local function more_lines(r)
  local out = {}
  if #r.segments > 1 then
    out[1] = ("%s: %s"):format(text.count(#r.segments, "file"), table.concat(r.segments, ", "))
  end
  for _, gap in ipairs(r.missing) do
    out[#out + 1] = ("lines %d to %d are not here: the chain after them is good%s"):format(gap.first, gap.last,
      r.bound and r.bound >= gap.last and ("; bound by the checkpoint of %d lines"):format(r.bound) or "")
  end
  if r.checkpoints then
    out[#out + 1] = ("%s: good, the largest is of %d lines"):format(text.count(r.checkpoints, "checkpoint"), r.bound)
  elseif r.signed then
    out[#out + 1] = ("the checkpoint that was signed last, of %d lines, fits; its signature was not looked at"):format(
      r.signed)
  end
  return #out > 0 and "\n" .. table.concat(out, "\n") or ""
end

local function check_all(path, args)
  local sum = {}
  local ok, err = pcall(checkpoint.steady, path, function()
    for name in pairs(sum) do sum[name] = nil end
    sum.path, sum.lines, sum.set_aside, sum.torn = path, 0, 0, false
    sum.open_intents, sum.segments, sum.missing = json.array {}, json.array {}, json.array {}
    verify_chain(sum, path)
    if sum.previous then
      sum.continues = predecessor(path, sum)
      if not sum.continues then return end
    end
    verify_checkpoints(sum, path, args)
  end)
  return sum, not ok and err or nil
end

function M.verify(ctx, args)
  local path, missing = path_of(args)
  if path == "-" then fail.usage "audit verify reads a file, not standard input: give its path" end
  if missing and #checkpoint.segments(path) == 0 and not args.checkpoints and not checkpoint.last(path) then
    return ctx:result({ path = path, lines = 0 }, ("%s: nothing was logged yet"):format(path))
  end
  if #checkpoint.segments(path) == 0 and args.file then
    local r, err = audit.verify(path) -- tells why it can't be read
    if not r then error(err, 0) end
  end
  local r, failure = check_all(path, args)
  if not failure then
    ctx:result(r, M.verdict(path, r) .. more_lines(r))
    return r.previous and not r.continues and exit_status.VERIFY or nil
  end
  if not errors.is(failure) or failure.code ~= "verify" then error(failure, 0) end
  report.tell(ctx, failure)
  local document = report.document(failure, exit_status.VERIFY)
  document.lines, document.torn, document.path = r.lines, r.torn, path
  document.first_bad = math.tointeger(tonumber((failure.where or ""):match ":(%d+)$"))
  ctx:result(document, "")
  return exit_status.VERIFY
end

-- ---- checkpoints and proofs ----

function M.checkpoint(ctx, args)
  local checkpoints = require "moongate.cli.checkpoints"
  checkpoints.by_hand = true
  local c = checkpoints.make(ctx, args.out)
  ctx:result({ origin = c.origin, size = c.size, root = c.root, checkpoint = c.note, new = not c.old },
    c.note:gsub("\n$", ""))
end

-- The checkpoint that a proof is for: the file's, or the one that was signed last.
local function checkpoint_of(path, file)
  local c, why
  if file then
    local content, err = host.fs.read(file, 1 << 20)
    if not content then error(err, 0) end
    c, why = checkpoint.parse(content)
    if not c then errors.raise { code = "parse", where = file, message = ("%s: %s"):format(file, why) } end
    c.note = content
    return c
  end
  c = checkpoint.last(path)
  if c then return c end
  errors.raise {
    code = "not_found", message = ("%s has no checkpoint yet"):format(path),
    hint = "moongate audit checkpoint, or give --checkpoint FILE",
  }
end

-- The numbers of a run's or a plan's lines, over all segments.
local function lines_of(path, run, plan)
  local out = {}
  for _, s in ipairs(checkpoint.segments(path)) do
    local list, err = audit.read(s.path, { run = run, plan = plan })
    if not list then error(err, 0) end
    for _, entry in ipairs(list) do out[#out + 1] = entry.seq end
  end
  if #out > 0 then return out end
  errors.raise { code = "not_found", message = ("%s has no line of %s %s"):format(path, run and "run" or "plan",
    run or plan) }
end

function M.prove(ctx, args)
  local path = path_of(args)
  if (args.seq and 1 or 0) + (args.run and 1 or 0) + (args.plan and 1 or 0) ~= 1 then
    fail.usage "audit prove needs --seq, --run or --plan, one of them"
  end
  local plan = args.plan and "sha256:" .. args.plan:gsub("^sha256:", "") or nil
  local c = checkpoint_of(path, args.checkpoint)
  local files = json.array {}
  if args.seq then
    assert(host.fs.write(args.out, checkpoint.prove(path, args.seq, c)))
    files[1] = args.out
  else
    assert(host.fs.mkdir(args.out))
    for i, seq in ipairs(lines_of(path, args.run, plan)) do
      files[i] = ("%s/%d.proof"):format(args.out, seq)
      assert(host.fs.write(files[i], checkpoint.prove(path, seq, c)))
    end
  end
  ctx:result({ files = files, size = c.size, root = c.root },
    ("%s written, for the checkpoint of %d lines: %s"):format(text.count(#files, "proof"), c.size, args.out))
end

M["verify-proof"] = function(ctx, args)
  local content, err = host.fs.read(args.file, 4 << 20)
  if not content then error(err, 0) end
  local ok, proof = pcall(checkpoint.verify_proof, content, check_vkeys(args.vkey))
  if not ok then
    if errors.is(proof) then bad(args.file, nil, ("%s: %s"):format(args.file, proof.message)) end
    error(proof, 0)
  end
  local c = proof.checkpoint
  ctx:result({
    line = proof.line, seq = proof.index + 1, size = c.size, origin = c.origin, signed_by = json.array(c.names),
  }, proof.line)
end

function M.rotate(ctx, args)
  local ok, err = host.rotate_audit(args.keep_open_intents)
  if not ok then
    if err.code == "busy" then
      err = errors.new { code = "conflict", message = err.message,
        hint = "Wait for the runs to end, resume them, or give --keep-open-intents." }
    end
    error(err, 0)
  end
  local segments = checkpoint.segments(host.state().audit)
  local s = segments[#segments - 1] or segments[#segments]
  ctx:result({ segment = s.path, first = s.first, last = s.last }, ("%s has lines %d to %d"):format(s.path, s.first,
    s.last))
end

-- ---- show ----

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
    parts[i] = name .. "=" .. (type(v) == "string" and not v:find("[%s\"]") and v or json.encode(v))
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
  if path == "-" then fail.usage "audit show reads a file, not standard input: give its path" end
  local entries = missing and {} or matching(path, args)
  local lines = {}
  for i, entry in ipairs(entries) do lines[i] = M.line(entry) end
  ctx:result(json.array(entries), table.concat(lines, "\n"))
end

return M
