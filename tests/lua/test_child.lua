-- Processes of ours: what they write, how they end, and that none is left behind.
local child = require "moongate.child"
local t = require "moongate.test"
local task = require "moongate.task"

local function output(c)
  local parts = {}
  for text in function() return c:read() end do parts[#parts + 1] = text end
  return table.concat(parts)
end

local function sh(script, opts)
  local all = { args = { "sh", "-c", script } }
  for k, v in pairs(opts or {}) do all[k] = v end
  return assert(child.start(all))
end

t.test("both streams come in the order in which they were written, then the status", function()
  local c = sh "echo one; echo two >&2; echo three; exit 3"
  t.eq(output(c), "one\ntwo\nthree\n")
  t.eq({ c:status() }, { 3, 0 })
  t.eq(c:read(), nil)
  c:close()
  c:close()
  t.raises(c.read, "closed", c)
end)

t.test("folder and environment", function()
  t.eq(output(sh("pwd; echo $A", { folder = "/", env = { "A=1", "PATH=/usr/bin:/bin" } })), "/\n1\n")
end)

t.test("a great deal of output", function()
  t.eq(#output(sh "i=0; while [ $i -lt 2000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done"),
    82000)
end)

t.test("a program that is not there, and arguments that can't be", function()
  t.fails("not_found", child.start { args = { "/nonexistent/program" } })
  t.fails(child.start { args = { "sh" }, folder = "/nonexistent" })
  t.raises(child.start, "a program is needed", { args = {} })
  t.raises(child.start, "must be strings", { args = { "sh", 1 } })
  t.raises(child.start, "unknown option", { args = { "sh" }, arg = {} })
end)

t.test("killed; and a task that waits for one can be cancelled", function()
  local c = sh "exec sleep 60"
  t.eq(c:status(), nil)
  c:kill()
  t.eq(c:read(), nil)
  t.eq({ c:status() }, { 0, 9 })

  local waits = task.spawn(function()
    local d <close> = sh "exec sleep 60"
    d:read()
  end)
  task.sleep(0.01)
  waits:cancel()
  waits:join()
  t.eq(waits:status(), "cancelled")
end)

t.test("a folder for a while", function()
  local fs = require "moongate.fs"
  local path
  do
    local folder <close> = assert(child.folder())
    path = folder:path()
    t.eq(fs.stat(path).mode, 448)
    assert(fs.mkdir(path .. "/a/b"))
    assert(fs.write(path .. "/a/b/c", "text"))
  end
  t.eq(fs.stat(path), nil)
end)

t.test("this program, and how many can run", function()
  t.ok(assert(child.self()):find "moongate")
  t.ok(child.parallelism() >= 1)
  t.eq(output(assert(child.start { args = { child.self(), "-e", "return 6 * 7" } })), "42\n")
end)
