-- What a script has in reach, and what it has not.
local t = require "moongate.test"
local sandbox = require "moongate.sandbox"
local fs = require "moongate.fs"
local task = require "moongate.task"
local host = require "moongate.host"
local raw = host.raw_getmetatable

-- Runs text as a script would run; results of the chunk.
local function run(text, folder)
  local fn = assert(sandbox.load_chunk(text, "=script", folder))
  return fn()
end

t.test("no io, os, package, debug; no way to files or bytecode", function()
  for _, name in ipairs { "io", "os", "package", "debug", "dofile", "loadfile" } do
    t.eq(run("return " .. name), nil, name)
  end
  t.eq(run "return string.dump", nil)
  t.eq(run "return ('x').dump", nil)
  t.eq(run "local ok, e = pcall(require, 'os') return ok", false)
  local bytecode = "\27Lua"
  t.eq({ run("return load(" .. ("%q"):format(bytecode) .. ", 'x', 'b')") },
    { nil, 'attempt to load a binary chunk (mode is \'t\')' })
  t.eq(run("return load('return 1', 'x', 'b')()"), 1) -- the mode is text, whatever was asked for
  t.raises(function() run "load('x', 'y', {})" end, "string expected")
end)

t.test("a script's globals are its own", function()
  t.eq(run "x = 1 return _G.x", 1)
  t.eq(rawget(_G, "x"), nil)
  t.eq(run "return x", nil)
  t.eq(run "return load('y = 5 return y')() + y", 10)
  t.eq(run "return load('return z', 'n', 't', { z = 3 })()", 3)
  t.eq(run "return load('return z', 'n', 't', nil) ~= nil", true)
  t.eq(run "return load(function() return nil end)()", nil)
  t.ok(run "return _G._G == _G and _ENV == _G")
end)

t.test("a script can't change what trusted code uses", function()
  run "string.format = nil table.concat = nil math.floor = nil coroutine.wrap = nil"
  t.ok(string.format and table.concat and math.floor and coroutine.wrap)
  run "require('moongate.time').now = nil"
  t.ok(require("moongate.time").now)
  run "require('moongate').time.iso = nil"
  t.ok(require("moongate.time").iso)
  t.eq(run "return getmetatable('')", "string")
  t.eq(run "local ok = pcall(setmetatable, '', {}) return ok", false)
  t.eq(run "return getmetatable(require 'moongate.task'.current())", "moongate.task")
  t.raises(function() run "getmetatable('').__index = {}" end, "index a string value")
  t.eq(("x"):rep(2), "xx")
end)

t.test("metatables: its own only, and no finalizers", function()
  t.eq(run "local mt = {} return getmetatable(setmetatable({}, mt)) == mt", true)
  t.eq(run "return getmetatable(setmetatable({}, { __metatable = 'locked' }))", "locked")
  t.eq(run "return getmetatable({})", nil)
  t.raises(function() run "setmetatable({}, { __gc = function() end })" end, "__gc is not available")
  local array = require("moongate.json").array {}
  local fn = assert(sandbox.load_chunk("local a = ... return getmetatable(a)", "=script"))
  t.ok(raw(array))
  t.ok(fn(array) ~= raw(array))
end)

t.test("private modules stay private", function()
  for _, name in ipairs { "moongate.host", "moongate.sandbox", "moongate.cli", "moongate.cli.commands" } do
    t.raises(function() run("require '" .. name .. "'") end, "not found", name)
  end
  t.eq(run "return require('moongate').host", nil)
  t.eq(run "return require('moongate').nonsense", nil)
  t.raises(function() run "require 'moongate.nonsense'" end, "module 'moongate.nonsense' not found")
  t.raises(function() run "require(1 == 1)" end, "string expected")
end)

t.test("require: files beside the script, and nothing above them", function()
  local dir = "build/test-sandbox-" .. tostring({}):match "0x(%x+)"
  assert(fs.mkdir(dir .. "/lib/sub"))
  assert(fs.write(dir .. "/secret.lua", "return 'outside'"))
  assert(fs.write(dir .. "/lib/a.lua", "local name = ... n = (n or 0) + 1 return { name = name, n = n }"))
  assert(fs.write(dir .. "/lib/sub/init.lua", "return 'sub'"))
  assert(fs.write(dir .. "/lib/sub/b.lua", "return 'b'"))
  assert(fs.write(dir .. "/lib/bad.lua", "\n\nx ="))
  assert(fs.write(dir .. "/lib/loop.lua", "return require 'loop'"))
  assert(fs.write(dir .. "/lib/waits.lua", "require('moongate.task').sleep(0.001) return 'waited'"))
  assert(fs.write(dir .. "/lib/raises.lua", "error 'broken'"))
  local lib = dir .. "/lib"
  t.eq(run("local a = require 'a' return a == require 'a' and a.name .. a.n", lib), "a1")
  t.eq(run("return require 'sub'", lib), "sub")
  t.eq(run("return require 'sub.b'", lib), "b")
  t.eq(run("return require 'waits'", lib), "waited")
  for _, name in ipairs { "..secret", "../secret", "/etc/passwd", ".a", "a.", "sub..b", "a\0b", "" } do
    t.raises(function() run(("require %q"):format(name), lib) end, "not found", name)
  end
  local err = t.raises(function() run("require 'bad'", lib) end, "unexpected symbol near <eof>")
  t.eq(err.where, lib .. "/bad.lua:3")
  t.raises(function() run("require 'loop'", lib) end, "requires itself")
  t.raises(function() run("require 'raises'", lib) end, "raises.lua:1: broken")
  t.raises(function() run "require 'a'" end, "not found")
  for _, f in ipairs { "lib/sub/init.lua", "lib/sub/b.lua", "lib/sub", "lib/a.lua", "lib/bad.lua", "lib/loop.lua",
    "lib/waits.lua", "lib/raises.lua", "lib", "secret.lua", "" } do
    assert(fs.remove(dir .. "/" .. f))
  end
end)

t.test("collectgarbage is limited", function()
  t.ok(run "return collectgarbage 'count'" > 0)
  run "collectgarbage()"
  t.raises(function() run "collectgarbage 'stop'" end, "only")
  t.raises(function() run "collectgarbage('incremental', 1, 1)" end, "only")
end)

t.test("a '#!' line is passed over and lines stay true", function()
  t.eq(run "#!/usr/bin/env moongate\nreturn 1", 1)
  t.raises(function() run "#!/usr/bin/env moongate\nerror 'x'" end, "script:2: x")
  local fn, err = sandbox.load_chunk("#!x\nx = = 1", "=script")
  t.eq(fn, nil)
  t.eq(err.where, "script:2")
  t.eq(err.code, "parse")
end)

t.test("the memory cap is an error that says so, and the program goes on", function()
  local err = t.fails("out_of_memory", task.spawn(function()
    run "local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1000000) .. i end"
  end):join())
  t.ok(err.message:find "^memory limit of %d+ MiB reached$", err.message)
  t.fails("out_of_memory", task.spawn(function() run "return ('x'):rep(1 << 30)" end):join())
  t.fails("out_of_memory", task.spawn(function() run "local s = 'x' while true do s = s .. s end" end):join())
  t.eq(run "return pcall(string.rep, 'x', 1 << 30)", false)
  collectgarbage()
  t.ok(collectgarbage "count" < 50000)
end)

t.test("deep recursion is an error", function()
  t.raises(function() run "local function f() return 1 + f() end f()" end, "stack overflow")
  t.raises(function() run "local t = setmetatable({}, {}) getmetatable(t).__index = t return t.x" end, "loop")
  t.raises(function() run "local s = ('('):rep(500) .. ('a'):rep(10) return s:find(s)" end, "too many captures")
end)
