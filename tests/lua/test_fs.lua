-- Files.
local t = require "moongate.test"
local fs = require "moongate.fs"
local task = require "moongate.task"

local dir = "build/test-fs-" .. tostring({}):match "0x(%x+)"
local function at(name) return dir .. "/" .. name end

t.test("mkdir, write, read, stat, list, remove", function()
  t.eq(fs.mkdir(at "a/b"), true)
  t.eq(fs.mkdir(at "a/b"), true)
  t.eq(fs.write(at "a/x", "one\0two\n"), true)
  t.eq(fs.read(at "a/x"), "one\0two\n")
  t.eq(fs.write(at "a/x", ""), true)
  t.eq(fs.read(at "a/x"), "")
  t.eq(fs.write(at "a/w", "secret", { mode = 0x180 }), true)
  local s = fs.stat(at "a/w")
  t.eq({ s.type, s.size, s.mode }, { "file", 6, 0x180 })
  t.ok(s.mtime > 1.6e9)
  t.eq(fs.stat(at "a/b").type, "directory")
  t.eq(fs.list(at "a"), { "b", "w", "x" })
  t.eq(fs.list(at "a/b"), {})
  t.eq(fs.remove(at "a/x"), true)
  t.eq(fs.list(at "a"), { "b", "w" })
end)

t.test("a new file replaces nothing", function()
  t.eq(fs.write(at "new", "one", { new = true }), true)
  t.fails("exists", fs.write(at "new", "two", { new = true }))
  t.eq(fs.read(at "new"), "one")
  t.eq(fs.list(dir), { "a", "new" }) -- no temporary file is left
  t.eq(fs.remove(at "new"), true)
end)

t.test("failures", function()
  t.fails("not_found", fs.read(at "none"))
  t.fails("not_found", fs.stat(at "none"))
  t.fails("not_found", fs.list(at "none"))
  t.fails("not_found", fs.remove(at "none"))
  t.fails(fs.write(at "none/x", "x"))
  t.fails("invalid", fs.read(at "a"))
  t.fails("too_large", fs.read(at "a/w", 5))
  t.eq(fs.read(at "a/w", 6), "secret")
  t.fails(fs.remove(at "a"))
  t.raises(function() fs.read "" end, "not a path")
  t.raises(function() fs.read "a\0b" end, "not a path")
  t.raises(function() fs.write(at "y", "x", { mod = 1 }) end, "unknown option 'mod'; did you mean 'mode'?")
  t.raises(function() fs.write(at "y", "x", { mode = 0x200 }) end, "mode")
  t.raises(function() fs.write(at "y") end, "string expected")
end)

t.test("many at once, and cancelled ones", function()
  local list = {}
  for i = 1, 200 do list[i] = i end
  t.ok(task.map(list, 50, function(i)
    assert(fs.write(at("n" .. i), ("x"):rep(i * 100)))
    t.eq(#assert(fs.read(at("n" .. i))), i * 100)
    assert(fs.remove(at("n" .. i)))
  end))
  for _ = 1, 50 do
    local child = task.spawn(function() fs.read(at "a/w") end)
    task.yield()
    child:cancel()
    t.fails("cancelled", child:join())
  end
end)

-- ---- lines ----

local function all_lines(path, most, max)
  local reader <close> = assert(fs.lines(path, max))
  local out = {}
  while true do
    local list, first = reader:read(most)
    if not list then return out, first, reader:offset() end
    for i, line in ipairs(list) do out[#out + 1] = { first + i - 1, line } end
  end
end

t.test("lines come numbered, whatever the size of a list, and without their line breaks", function()
  local path = at "lines.txt"
  assert(fs.mkdir(at ""))
  assert(fs.write(path, "a\r\n\nb\n" .. ("x"):rep(20) .. "\nlast"))
  local want = { { 1, "a" }, { 2, "" }, { 3, "b" }, { 4, false }, { 5, "last" } }
  for most = 1, 6 do
    local got, err, offset = all_lines(path, most, 10)
    t.eq(got, want)
    t.eq(err, nil)
    t.eq(offset, 31)
  end
  assert(fs.write(path, ""))
  t.eq(all_lines(path), {})
end)

t.test("a file that is not there is told by the first read; a closed reader says so", function()
  local reader = assert(fs.lines(at "none"))
  local list, err = reader:read()
  t.eq(list, nil)
  t.eq(err.code, "not_found")
  reader:close()
  reader:close()
  t.raises(function() reader:read() end, "closed")
  t.raises(function() fs.lines("") end, "not a path")
end)

t.test("a reader that waits is let go of when its task is cancelled", function()
  local waiting = task.spawn(function()
    local reader <close> = assert(fs.lines(at "lines.txt"))
    while reader:read() do task.yield() end
    task.sleep(60)
  end)
  task.sleep(0.01)
  waiting:cancel()
end)

t.test("tidy up", function()
  for _, name in ipairs { "a/w", "a/b", "a", "lines.txt", "" } do t.eq(fs.remove(at(name)), true) end
end)
