-- What `moongate check` finds: global names nobody defines, with no false alarm.
local check = require "moongate.cli.check"
local globals = require "moongate.cli.check.globals"
local parse = require "moongate.cli.check.parse"
local t = require "moongate.test"

local KNOWN = { print = true, ipairs = true, pairs = true, table = true, string = true, _G = true, require = true }

local function unknown(text)
  assert(load(text:gsub("^#", "--#"), "=t", "t"))
  local names = {}
  for i, node in ipairs(globals.unknown(parse.chunk(text), KNOWN)) do
    names[i] = ("%s:%d:%d"):format(node.name, node.line, node.column)
  end
  return table.concat(names, " ")
end

t.test("names that are not there", function()
  t.eq(unknown "pritn('x')", "pritn:1:1")
  t.eq(unknown "local a <const> = b", "b:1:19")
  t.eq(unknown "return {\n  x = y,\n  [z] = 1, w }", "y:2:7 z:3:4 w:3:12")
  t.eq(unknown "for i = a, b do print(i, j) end", "a:1:9 b:1:12 j:1:26")
  t.eq(unknown "local x = x", "x:1:11")
  t.eq(unknown "print(-a .. not b, #c ~ ~d)", "a:1:8 b:1:17 c:1:21 d:1:26")
  t.eq(unknown "a.b.c = d", "a:1:1 d:1:9")
  t.eq(unknown "f{ g'x' }", "f:1:1 g:1:4")
  t.eq(unknown "local s = 'äö' .. x", "x:1:19")
  t.eq(unknown "do local a end print(a)", "a:1:22")
  t.eq(unknown "local function f(...) return f, g end", "g:1:33")
  t.eq(unknown "if a then print(b) elseif c then local d else print(d) end", "a:1:4 b:1:17 c:1:27 d:1:53")
  t.eq(unknown "print(a); (b)(c)", "a:1:7 b:1:12 c:1:15")
end)

t.test("no false alarm", function()
  for _, text in ipairs {
    "goto done; ::done:: print()",
    "local a <close> = nil; local b, c <const> = 1, a return b, c",
    "for k, v in pairs {} do print(k, v) end",
    "repeat local x = 1 until x",
    "local t = {} function t.a.b:c(x) return self, x, t end",
    "local t = { x = 1, ['y'] = 2; 3 } return t.x, t:y(), t['z'], t",
    "function helper() return other() end function other() return helper end",
    "x = 1 print(x)",
    "_G.y = 1 print(y)",
    "_ENV.z = 1 print(z)",
    "local _ENV = { a = 1 } return a, b",
    "local function f(_ENV) return anything end",
    "setmetatable_ = 1 local e = _ENV return undefined",
    "for name in pairs {} do _G[name] = 1 end print(whatever)",
    "local function f() local function g() return f, g end return g end",
    "local s = [==[ ]] a ]==] -- b\n--[[ c\nd ]] print(s)",
    "local n = 0x.1p4 + 0xA.8P-1 + 3e-2 + .5 + 1//2 print(n)",
    "local s = 'a\\'b' .. \"c\\\"d\" .. 'e\\\nf' .. '\\z  \n  g' print(s)",
    "#!/usr/bin/env moongate\nprint()",
    "local a = {} a.b.c, a[1].d = 1, 2",
    "local function v(...) local a, b = ... return select_ == nil and a, b, ... end select_ = 1",
    "return function(a, b) return a, b end",
    "local x = 1; ; ; return x;",
    "local t = {f = function(self) return self end} t:f'x':g{}.h = 1",
    "local a = 1 local b = a & 1 | 2 ~ 3 << 4 >> 5 // 6 print(b)",
    "while true do break end",
  } do
    t.eq(unknown(text), "", text)
  end
end)

t.test("syntax errors have their line", function()
  t.eq(check.faults("local x = \n\n= 3", "a.lua", KNOWN), {
    { file = "a.lua", line = 3, message = "unexpected symbol near '='" },
  })
  t.eq(check.faults("print(1)\nprnit(1)", "a.lua", KNOWN), {
    { file = "a.lua", line = 2, column = 1, message = "unknown global 'prnit' (did you mean 'print'?)" },
  })
end)

t.test("every Lua file of the program passes", function()
  local host = require "moongate.host"
  local known = {}
  for _, name in ipairs(check.script_globals()) do known[name] = true end
  known.collectgarbage = true
  for _, name in ipairs(host.embedded_list "") do
    if name:find "%.lua$" then t.eq(check.faults(host.embedded(name), name, known), {}) end
  end
end)
