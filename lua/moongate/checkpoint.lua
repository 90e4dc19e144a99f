-- checkpoint.lua - what proves more than the hash chain of an audit log can: checkpoints, signed notes of the size and
-- Merkle root of all its lines (C2SP tlog-checkpoint), and proofs that one line is among them (C2SP tlog-proof). For
-- the command line.
--
-- A log never signs two roots of one size: the last signed checkpoint is kept in <log>.checkpoint, and each new one is
-- compared with it. What is signed is computed from the lines, never from the hints beside them.

local errors = require "moongate.error"
local hash = require "moongate.hash"
local host = require "moongate.host"
local json = require "moongate.json"
local note = require "moongate.note"

local M = {}

local PROOF = "c2sp.org/tlog-proof@v1"
local TEXT_MAX = 4 << 20 -- a proof holds one line, in base64

local function raise(code, format, ...)
  errors.raise { code = code, message = format:format(...) }
end

local function raw(hex) return (hex:gsub("%x%x", function(d) return string.char(tonumber(d, 16)) end)) end
local function hex(bytes) return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end)) end

-- ---- the files of a log ----

local function first_entry(path)
  local lines = host.fs.lines(path)
  if not lines then return nil end
  local list = lines:read(1)
  lines:close()
  local entry = list and list[1] and json.decode(list[1])
  return type(entry) == "table" and entry or nil
end

local function first_seq(path)
  local entry = first_entry(path)
  return entry and math.type(entry.seq) == "integer" and entry.seq or nil
end

-- M.segments(path) -> list of {path, first, last}: what was rotated away and is still here, by number, then the log
-- itself, without first and last, where it exists. Between two renames of a rotation the log is its last segment, too.
function M.segments(path)
  local folder, name = path:match "^(.*)/([^/]*)$"
  folder, name = folder or ".", name or path
  local stem = name:gsub("%.jsonl$", "")
  local list = {}
  for _, file in ipairs(host.fs.list(folder == "" and "/" or folder) or {}) do
    if file:sub(1, #stem) == stem then
      local first, last = file:sub(#stem + 1):match "^%-(%d+)%-(%d+)%.jsonl$"
      if first then
        list[#list + 1] = { path = folder .. "/" .. file, first = math.tointeger(tonumber(first)),
          last = math.tointeger(tonumber(last)) }
      end
    end
  end
  table.sort(list, function(a, b) return a.first < b.first end)
  local newest = list[#list]
  if host.fs.stat(path) and not (newest and first_seq(path) == newest.first) then list[#list + 1] = { path = path } end
  return list
end

local function paths_of(segments)
  local out = {}
  for i, s in ipairs(segments) do out[i] = s.path end
  return table.concat(out, "\0")
end

-- M.steady(path, fn, ...) -> what fn returns or raises. Calls it again when another process rotated the log meanwhile.
function M.steady(path, fn, ...)
  for _ = 1, 9 do
    local before = paths_of(M.segments(path))
    local results = table.pack(pcall(fn, ...))
    if paths_of(M.segments(path)) == before then
      if not results[1] then error(results[2], 0) end
      return table.unpack(results, 2, results.n)
    end
  end
  return fn(...)
end

-- The files that follow each other without a gap up to the end, oldest first; `from`: those that begin before this line
-- are enough.
local function unbroken(segments, from)
  local files, after = {}, nil -- after: number of the first line of the files so far
  for i = #segments, 1, -1 do
    local s = segments[i]
    local first = s.first or first_seq(s.path)
    if after and s.last and s.last + 1 ~= after then break end
    if first or s.first or i == 1 or host.fs.stat(s.path).size > 0 then -- a log that was emptied adds no line
      table.insert(files, 1, s.path)
      after = first or 1
      if from and after <= from then break end
    end
  end
  return files
end

local function tree(files, opts)
  local t, err = host.audit_tree(files, opts)
  if not t then error(err, 0) end
  return t
end

-- ---- checkpoints ----

-- M.text(origin, size, root in hex) -> what is signed
function M.text(origin, size, root)
  return ("%s\n%d\n%s\n"):format(origin, size, hash.base64(raw(root)))
end

-- M.parse(text) -> {origin, size, root} of a checkpoint's text or signed note; nil, why. Signatures are not looked at.
function M.parse(text)
  local origin, size, root = text:match "^([^\n]+)\n(%d+)\n([%w+/=]+)\n"
  local bytes = root and hash.unbase64(root)
  if not bytes or #bytes ~= 32 or (#size > 1 and size:sub(1, 1) == "0") or #size > 15 then
    return nil, "not a checkpoint: origin, size and root, a line each"
  end
  return { origin = origin, size = math.tointeger(tonumber(size)), root = hex(bytes) }
end

-- M.open(note, vkeys) -> {origin, size, root, names, note}. Raises "parse" or "verify".
function M.open(text, vkeys)
  local signed, names = note.verify(text, vkeys)
  if not signed then error(names, 0) end
  local c, why = M.parse(signed)
  if not c then raise("parse", "%s", why) end
  c.names, c.note = names, text
  return c
end

-- The checkpoint that was signed last, or nil. vkey nil: its signature is not looked at.
function M.last(path, vkey)
  local file = path .. ".checkpoint"
  local text, err = host.fs.read(file, TEXT_MAX)
  if not text then
    if err.code == "not_found" then return nil end
    error(err, 0)
  end
  if vkey then
    local ok, c = pcall(M.open, text, { vkey })
    if ok then return c end
    errors.raise {
      code = "verify", where = file, message = ("%s: %s"):format(file, c.message),
      hint = "Verify the log against checkpoints that are kept elsewhere, then move this file away.",
    }
  end
  local c, why = M.parse(text)
  if not c then raise("verify", "%s: %s", file, why) end
  c.note = text
  return c
end

-- A log that was moved away or emptied, by logrotate for one: what its first line says of that; nil: it was not.
local function replaced(path)
  local entry = first_entry(path)
  return entry and entry.action == "log_replaced" and math.type(entry.previous_seq) == "integer"
    and ("it starts again after line %d, because it was moved away or emptied"):format(entry.previous_seq) or nil
end

local REPLACED = "Verify the file that the log was moved to. To sign the new log, move %s.checkpoint beside that file, "
  .. "and set another audit.origin and another folder in audit.to."

local function cut(path, lines, size)
  local why = replaced(path)
  errors.raise {
    code = "verify", where = path,
    message = ("%s: the log was cut: %d lines, a checkpoint says %d%s"):format(path, lines, size,
      why and "; " .. why or ""),
    hint = why and REPLACED:format(path)
      or "Keep a copy of the log and the checkpoint; look for the missing lines in backups.",
  }
end

local function differs(path, size, good)
  local why = replaced(path)
  errors.raise {
    code = "verify", where = path,
    message = (good > 0
      and ("%s: a line from %d to %d is not the one that was logged: the checkpoint of %d lines has another root")
        :format(path, good + 1, size, size)
      or ("%s: one of the first %d lines is not the one that was logged: the checkpoint has another root")
        :format(path, size)) .. (why and "; " .. why or ""),
    hint = why and REPLACED:format(path) or "Keep a copy of the log and the checkpoint.",
  }
end

local function make(opts)
  local last = M.last(opts.path, opts.key:vkey())
  if last and last.origin ~= opts.origin then
    raise("verify", "%s.checkpoint: its origin is %s, not %s", opts.path, last.origin, opts.origin)
  end
  local files = unbroken(M.segments(opts.path), last and last.size or math.maxinteger)
  if #files == 0 then
    if last then cut(opts.path, 0, last.size) end
    raise("not_found", "%s: nothing was logged yet", opts.path)
  end
  local t = tree(files, { sizes = { last and last.size or 0, math.maxinteger }, hints = false })
  if last then
    if t.size < last.size then cut(opts.path, t.size, last.size) end
    if t.roots[1] and t.roots[1] ~= last.root then differs(opts.path, last.size, 0) end
    if last.size == t.size then
      last.old = true
      return last
    end
  end
  local signed, err = note.sign(opts.key, M.text(opts.origin, t.size, t.root))
  if not signed then error(err, 0) end
  local ok
  ok, err = host.keep_checkpoint(opts.path, signed)
  if not ok then error(err, 0) end
  return { origin = opts.origin, size = t.size, root = t.root, note = signed }
end

-- M.make{path, key, origin} -> {origin, size, root, note, old = true when nothing was logged since the last one}. Signs
-- the log as it is now. Raises "verify" when it is shorter than, or not a continuation of, what was signed last.
function M.make(opts) return M.steady(opts.path, make, opts) end

-- M.check(path, checkpoints [, lines]) -> number of lines of the largest one that holds. checkpoints: of M.open. Raises
-- "verify" for a log that is shorter than one, or has another root at its size. lines: how many the log has, if known.
function M.check(path, checkpoints)
  table.sort(checkpoints, function(a, b) return a.size < b.size end)
  local files, sizes = unbroken(M.segments(path)), {}
  for i, c in ipairs(checkpoints) do
    sizes[i] = c.size
    local before = checkpoints[i - 1]
    if before and before.size == c.size and before.root ~= c.root then
      raise("verify", "two checkpoints of %d lines have different roots: two logs were signed as %s", c.size, c.origin)
    end
    if before and before.origin ~= c.origin then
      raise("verify", "the checkpoints are of two logs: %s and %s", before.origin, c.origin)
    end
  end
  if #sizes == 0 then return 0 end
  if #files == 0 then cut(path, 0, sizes[#sizes]) end
  local t = tree(files, { sizes = sizes, hints = false })
  local good = 0
  for i, c in ipairs(checkpoints) do
    local root = t.roots[i]
    if not root and c.size > t.first then cut(path, t.size, c.size) end
    if root and root ~= c.root then differs(path, c.size, good) end
    if root then good = c.size end -- else its lines are not here
  end
  if t.first > good then
    errors.raise {
      code = "verify", where = path,
      message = ("%s: lines 1 to %d are not here, and no checkpoint of %d lines or more speaks for them"):format(path,
        t.first, t.first),
      hint = "Put the older segments back beside the log, or give a newer checkpoint.",
    }
  end
  return good, t.first
end

-- ---- proofs ----

-- M.prove(path, seq, checkpoint) -> the text of a proof file. Raises "verify" when the log is not what was signed.
function M.prove(path, seq, checkpoint)
  if seq > checkpoint.size then
    raise("not_found", "line %d is not in the checkpoint, which is of %d lines: moongate audit checkpoint", seq,
      checkpoint.size)
  end
  local files = unbroken(M.segments(path), seq)
  if #files == 0 then raise("not_found", "%s: nothing was logged yet", path) end
  local opts = { index = seq - 1, sizes = { checkpoint.size } }
  local t = tree(files, opts)
  if t.roots[1] ~= checkpoint.root then -- perhaps by a stale hint
    opts.hints = false
    t = tree(files, opts)
  end
  if not t.roots[1] then cut(path, t.size, checkpoint.size) end
  if t.roots[1] ~= checkpoint.root then differs(path, checkpoint.size, 0) end
  local out = { PROOF, "extra " .. hash.base64(t.line), ("index %d"):format(seq - 1) }
  for _, node in ipairs(t.path) do out[#out + 1] = hash.base64(raw(node)) end
  return table.concat(out, "\n") .. "\n\n" .. checkpoint.note
end

local function node_hash(left, right) return raw(hash.sha256("\1" .. left .. right)) end

-- The root that a leaf's path leads to (RFC 9162, 2.1.3.2); nil when the path has a wrong length.
local function root_of(index, size, leaf, path)
  local fn, sn, r = index, size - 1, leaf
  for _, p in ipairs(path) do
    if sn == 0 then return nil end
    if fn % 2 == 1 or fn == sn then
      r = node_hash(p, r)
      while fn % 2 == 0 and fn ~= 0 do fn, sn = fn >> 1, sn >> 1 end
    else
      r = node_hash(r, p)
    end
    fn, sn = fn >> 1, sn >> 1
  end
  return sn == 0 and r or nil
end

local function parse_proof(text)
  local head, signed = text:match "^(.-\n)\n(.*)$"
  local lines = {}
  for line in (head or ""):gmatch "([^\n]*)\n" do lines[#lines + 1] = line end
  if lines[1] ~= PROOF then return nil end
  local proof, at = { path = {}, note = signed }, 2
  local extra = (lines[at] or ""):match "^extra (.*)$"
  if extra then
    proof.line, at = hash.unbase64(extra), at + 1
    if not proof.line then return nil end
  end
  local index = (lines[at] or ""):match "^index (%d+)$"
  if not index or (#index > 1 and index:sub(1, 1) == "0") or #index > 15 then return nil end
  proof.index = math.tointeger(tonumber(index))
  for i = at + 1, #lines do
    local bytes = hash.unbase64(lines[i])
    if not bytes or #bytes ~= 32 then return nil end
    proof.path[i - at] = bytes
  end
  return #proof.path <= 63 and proof or nil
end

-- M.verify_proof(text, vkeys [, line]) -> {line, index, checkpoint}. line: for a proof that does not hold it. Raises
-- "parse" or "verify".
function M.verify_proof(text, vkeys, line)
  local proof = parse_proof(text)
  if not proof then raise("parse", "not a proof: %s, extra, index, hashes, an empty line, a checkpoint", PROOF) end
  line = line or proof.line
  if not line then raise("parse", "the proof does not contain the line") end
  local c = M.open(proof.note, vkeys)
  local leaf = raw(hash.sha256("\0" .. line))
  local root = proof.index < c.size and root_of(proof.index, c.size, leaf, proof.path)
  if not root or hex(root) ~= c.root then raise("verify", "the line is not in the log that the checkpoint is of") end
  return { line = line, index = proof.index, checkpoint = c }
end

return M
