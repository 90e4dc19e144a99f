-- Checkpoints and proofs of an audit log: the tree over segments, what is signed and what is refused.
local t = require "moongate.test"
local checkpoint = require "moongate.checkpoint"
local fs = require "moongate.fs"
local hash = require "moongate.hash"
local host = require "moongate.host"
local json = require "moongate.json"
local note = require "moongate.note"

local key = note.generate "example.com/log"
local vkey = key:vkey()

local function line(seq, more)
  local entry = { seq = seq, action = "t" }
  for k, v in pairs(more or {}) do entry[k] = v end
  return json.encode(entry) .. "\n"
end

-- A log of n lines in a new folder, rotated behind each line of `at`.
local function make_log(n, at)
  local path = t.folder() .. "/audit.jsonl"
  local first, text = 1, {}
  local rotate = {}
  for _, seq in ipairs(at) do rotate[seq] = true end
  for seq = 1, n do
    local more = nil
    if seq == first and seq > 1 then
      local before = t.ok(host.audit_tree({ path .. ".before" }, { hints = false }))
      more = { action = "audit_continued", size = before.size, frontier = json.array(before.frontier) }
    end
    text[#text + 1] = line(seq, more)
    if rotate[seq] or seq == n then
      local file = rotate[seq] and seq < n and path:gsub("%.jsonl$", ("-%d-%d.jsonl"):format(first, seq)) or path
      t.ok(fs.write(file, table.concat(text)))
      t.ok(fs.write(path .. ".before", table.concat(text)))
      first, text = seq + 1, {}
    end
  end
  return path
end

local function sign(path, origin)
  return checkpoint.make { path = path, key = key, origin = origin or "example.com/log" }
end

local function refused(code, pattern, fn, ...)
  local ok, err = pcall(fn, ...)
  t.eq(ok, false, pattern)
  t.eq(err.code, code)
  t.ok(err.message:find(pattern), err.message)
end

t.test("the seven lines of the published vectors", function()
  local path = t.folder() .. "/audit.jsonl"
  local lines = {}
  for i = 0, 6 do lines[#lines + 1] = ('{"n":%d}\n'):format(i) end
  t.ok(fs.write(path, table.concat(lines)))
  local c = sign(path)
  t.eq(c.root, "8eefbabda4f08b5448b4dbb04eb1ebcf2cd86bf367d1c0fec3214882a91b7b9e")
  t.eq(c.note:match "^.-\n\n", "example.com/log\n7\n" .. hash.base64(c.root:gsub("%x%x", function(d)
    return string.char(tonumber(d, 16))
  end)) .. "\n\n")
  local proof = checkpoint.prove(path, 3, c)
  t.ok(proof:find("^c2sp.org/tlog%-proof@v1\nextra eyJuIjoyfQ==\nindex 2\n"), proof)
end)

t.test("every line of logs of up to 300 lines, over one to three segments", function()
  local path = make_log(300, { 97, 201 })
  t.eq(#checkpoint.segments(path), 3)
  local whole = {}
  for _, s in ipairs(checkpoint.segments(path)) do
    for text in t.ok(fs.read(s.path)):gmatch "[^\n]+" do whole[#whole + 1] = text end
  end
  local files = {}
  for i, s in ipairs(checkpoint.segments(path)) do files[i] = s.path end
  local step = host.getenv "MOONGATE_SOAK" and 1 or 13
  for size = 1, 300 do
    local root = t.ok(host.audit_tree(files, { sizes = { size } })).roots[1]
    local c = { size = size, root = root, note = note.sign(key, checkpoint.text("example.com/log", size, root)) }
    for seq = (size - 1) % step + 1, size, step do
      local proof = checkpoint.verify_proof(checkpoint.prove(path, seq, c), { vkey })
      t.eq({ proof.index, proof.line }, { seq - 1, whole[seq] })
    end
  end
end)

t.test("a changed bit in a proof, or another line, is refused", function()
  local path = make_log(23, { 9 })
  local text = checkpoint.prove(path, 12, sign(path))
  for bit = 0, #text * 8 - 1 do
    local at = bit // 8 + 1
    local changed = text:sub(1, at - 1) .. string.char(text:byte(at) ~ 1 << bit % 8) .. text:sub(at + 1)
    t.eq(pcall(checkpoint.verify_proof, changed, { vkey }), false, bit)
  end
  refused("verify", "the line is not in the log", checkpoint.verify_proof, text, { vkey }, "another line")
  refused("verify", "no signature of a known key", checkpoint.verify_proof, text,
    { note.generate("example.com/log"):vkey() })
end)

t.test("one size has one root: what was signed last is compared first", function()
  local path = make_log(9, {})
  local first = sign(path)
  local again = sign(path)
  t.eq({ again.old, again.note }, { true, first.note })
  local text = t.ok(fs.read(path))
  t.ok(fs.write(path, (text:gsub('"seq":4', '"seq":5'))))
  refused("verify", "has another root", sign, path)
  t.ok(fs.write(path, text:match "^(.*\n).-\n$"))
  refused("verify", "the log was cut: 8 lines, a checkpoint says 9", sign, path)
  t.ok(fs.remove(path))
  refused("verify", "the log was cut: 0 lines, a checkpoint says 9", sign, path)
  t.ok(fs.write(path, text .. line(10)))
  t.eq(sign(path).size, 10)
  refused("verify", "its origin is example.com/log", sign, path, "example.com/other")
  t.ok(fs.write(path .. ".checkpoint", (first.note:gsub("\n9\n", "\n8\n"))))
  refused("verify", "does not match", sign, path)
end)

t.test("stale hints are not believed", function()
  local path = make_log(3000, {})
  local c = sign(path)
  local hints = t.ok(fs.read(path .. ".tree"))
  t.ok(fs.write(path .. ".tree", (hints:gsub("(%x)\n", function(d) return d == "0" and "1\n" or "0\n" end))))
  t.eq(checkpoint.verify_proof(checkpoint.prove(path, 2500, c), { vkey }).index, 2499)
  t.ok(fs.write(path .. ".tree", (hints:gsub("(%x)\n", function(d) return d == "0" and "1\n" or "0\n" end))))
  t.ok(fs.write(path, t.ok(fs.read(path)) .. line(3001)))
  t.eq(sign(path).size, 3001)
  t.eq(checkpoint.check(path, { checkpoint.last(path, vkey), c }), 3001)
end)

t.test("segments that are missing or do not fit", function()
  local path = make_log(30, { 10, 20 })
  local c = sign(path)
  local oldest, second = checkpoint.segments(path)[1].path, checkpoint.segments(path)[2].path
  local old = { origin = c.origin, size = 5, root = host.audit_tree({ oldest }, { sizes = { 5 } }).roots[1] }
  t.eq(checkpoint.check(path, { c, old }), 30)
  t.ok(fs.remove(oldest))
  t.eq(checkpoint.check(path, { c, old }), 30)
  refused("verify", "lines 1 to 10 are not here, and no checkpoint", checkpoint.check, path, { old })
  t.ok(fs.write(second, (t.ok(fs.read(second)):gsub('"frontier":%["%x%x', '"frontier":["00'))))
  refused("verify", "have different trees", checkpoint.check, path, { c })
  refused("verify", "two checkpoints of 30 lines", checkpoint.check, path, { c, { size = 30, root = old.root } })
end)
