-- What `moongate check` finds: global names nobody defines, with no false alarm.
local check = require "moongate.cli.check"
local globals = require "moongate.source.globals"
local parse = require "moongate.source.parse"
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
    { file = "a.lua", line = 3, column = 1, message = "unexpected symbol near '='" },
  })
  t.eq(check.faults("print(1)\nprnit(1)", "a.lua", KNOWN), {
    { file = "a.lua", line = 2, column = 1, message = "unknown global 'prnit' (did you mean 'print'?)" },
  })
end)

-- ---- what our modules offer ----

local ALL = { print = true, pairs = true, ipairs = true, require = true, assert = true, next = true, pcall = true }

-- "line:column: message" of each fault.
local function told(text, has_file)
  local lines = {}
  for i, f in ipairs(check.faults(text, "a.lua", ALL, { has_file = has_file })) do
    lines[i] = ("%d:%d: %s"):format(f.line, f.column, f.message)
  end
  return table.concat(lines, "\n")
end

t.test("fields and methods that are not there", function()
  t.eq(told 'local http = require "moongate.http"\nreturn http.reqest {}',
    "2:13: moongate.http has no field 'reqest' (did you mean 'request'?)")
  t.eq(told "local fs = require('moongate').fs return fs.raed('a')",
    "1:45: moongate.fs has no field 'raed' (did you mean 'read'?)")
  t.eq(told 'local m = require "moongate" return m.jsno',
    "1:39: unknown module moongate.jsno (did you mean 'json'?)")
  t.eq(told 'local h = require "moongate.htpp" return h.get',
    "1:19: unknown module moongate.htpp (did you mean 'moongate.http'?)")
  t.eq(told [[
local http = require "moongate.http"
local client = assert(http.client { base_url = "https://x" })
local r, err = client:get "/a"
print(r.stauts, err.anything, r:jsn(), client:fetch "/b")]],
    "4:9: moongate.http.response has no field 'stauts' (did you mean 'status'?)\n"
    .. "4:33: moongate.http.response has no method 'jsn' (did you mean 'json'?)\n"
    .. "4:47: moongate.http.client has no method 'fetch'")
  t.eq(told 'local index = require "moongate.index" return index.no_such', -- of a module in Lua
    "1:53: moongate.index has no field 'no_such'")
end)

t.test("options that are none, at any depth", function()
  t.eq(told [[
local http = require "moongate.http"
http.request { url = "https://x", metod = "GET" }
http.client { base_url = "https://x", retry = { maks = 3 }, ["concurency"] = 2 }
local c = http.client(opts) c:put("/a", { jsn = {} })]],
    "2:35: moongate.http.request has no option 'metod' (did you mean 'method'?)\n"
    .. "3:49: moongate.http.client: retry has no option 'maks'\n"
    .. "3:61: moongate.http.client has no option 'concurency' (did you mean 'concurrency'?)\n"
    .. "4:23: unknown global 'opts'\n"
    .. "4:43: moongate.http.client:put has no option 'jsn' (did you mean 'json'?)")
  t.eq(told [[
local workflow = require "moongate.workflow"
return workflow.define {
  name = "a", sumary = "b", permissions = { nett = {} },
  flags = { { "x", "y", typ = "integer" } },
  run = function(run) run:setp("a", function() end) return run.gateway:anything() end,
}]], "3:15: moongate.workflow.define has no option 'sumary' (did you mean 'summary'?)\n"
    .. "3:45: moongate.workflow.define: permissions has no option 'nett' (did you mean 'net'?)\n"
    .. "4:25: moongate.workflow.define: flags has no option 'typ' (did you mean 'type'?)\n"
    .. "5:27: moongate.workflow.run has no method 'setp' (did you mean 'step'?)\n"
    .. "5:72: moongate.gateway.handle has no method 'anything'")
end)

t.test("no false alarm about modules", function()
  for _, text in ipairs {
    'local http = require "moongate.http" do local http = { reqest = print } http.reqest() end return http.get',
    'local http = require "moongate.http" http = {} return http.reqest',
    'local fs = require "moongate.fs" fs.slurp = print return fs.slurp()',
    'local fs = require "moongate.fs" function fs.slurp() end return fs.slurp()',
    'local function f(http) return http.reqest end return f',
    'local json = require "moongate.json" return json.null, json.decode("{}").any.thing',
    'local _ENV = {} local http = require "moongate.http" return http.reqest',
    'local n = "moongate.http" local h = require(n) return h.get',
    'local t = require "moongate.test" t.expect(1):not_to_be(2)',
    'local http = require "moongate.http" local k = "x" http.request { [k] = 1, url = "https://x" }',
    'local http = require "moongate.http" local r = http.get "https://x" return r.headers.anything',
    'for _, http in pairs {} do print(http.reqest) end',
    'local e = require "moongate.error" return e.new { code = "a", message = "b", whatever = 1 }',
  } do
    t.eq(told(text), "", text)
  end
end)

t.test("a line that is left alone", function()
  t.eq(told 'local http = require "moongate.http" http.a() -- check: ignore\nhttp.b()',
    "2:6: moongate.http has no field 'b'")
end)

t.test("modules of the script's own", function()
  local function has(name) return name == "helper" end
  t.eq(told('require "helper" require "hepler"', has),
    "1:26: unknown module hepler: neither part of moongate nor a file beside this one")
  t.eq(told 'require "hepler"', "")
  t.eq(told 'local h = require "moongate.host"', "1:19: moongate.host is moongate's own: a script can't require it")
end)

t.test("steps in a loop over pairs", function()
  t.eq(told [[
local workflow, task = require "moongate.workflow", require "moongate.task"
return workflow.define { name = "a", summary = "b", run = function(run, args)
  for k in pairs(args) do run:step(k, function() end) end
  for k in next, args do if k then task.spawn(function() run:sleep(1) end) end end
  for _, k in ipairs(args) do run:step(k, function() end) end
  local keys = {}
  for k in pairs(args) do keys[#keys + 1] = k end
end }]], table.concat({
    "3:31: run:step in a loop over pairs (line 3)", "4:41: task.spawn in a loop over pairs (line 4)",
    "4:62: run:sleep in a loop over pairs (line 4)", "",
  }, ", whose order may differ when the run is resumed: sort the keys first, and use ipairs\n"):sub(1, -2))
  t.eq(told 'local task = require "moongate.task" for k in pairs {} do task.spawn(k) end', "") -- no workflow
  t.eq(told "local function pairs() end for k in pairs() do run:step(k) end run = 1", "")      -- another pairs
end)

t.test("permissions that a workflow does not declare", function()
  local function needs(permissions, body)
    return told(([[
local workflow, http = require "moongate.workflow", require "moongate.http"
local fs, secret = require "moongate.fs", require "moongate.secret"
local URL = "https://hooks.example.com/x"
local definition = workflow.define { name = "a", summary = "b", permissions = %s, run = function(run)
%s
end }
return definition]]):format(permissions, body))
  end
  t.eq(needs("nil", "http.get(URL)"), "5:10: http.get needs a permission that the workflow does not declare: "
    .. 'permissions = { net = { "hooks.example.com" } }')
  t.eq(needs("{ net = { 'hooks.example.com' } }", "http.get(URL) http.request { url = URL .. 'y' }"), "")
  t.eq(needs("{ net = { '*.example.com', 'a.b:8443' } }",
    "http.get(URL) http.client { base_url = 'https://a.b:8443' }"), "")
  t.ok(needs("{ net = { 'a.b:8443' } }", "http.post('https://a.b/')"):find('net = { "a.b" }', 1, true))
  t.ok(needs("{ net = { '*.example.com' } }", "http.get 'https://example.com'"):find "http.get needs")
  t.eq(needs("{}", "fs.read 'data/a.json' fs.read(run.name) fs.stat '-'"), "")
  t.ok(needs("{}", "fs.read '/etc/x'"):find('read = { "/etc/x" }', 1, true))
  t.ok(needs("{}", "fs.read '../x'"):find "fs.read needs")
  t.ok(needs("{}", "fs.write('out/a', '')"):find('write = { "out/a" }', 1, true))
  t.eq(needs("{ write = { 'out' } }", "fs.write('out/a', '') fs.mkdir './out/b'"), "")
  t.ok(needs("{ write = { 'out' } }", "fs.write('out/../b', '')"):find "fs.write needs")
  t.ok(needs("{ env = { 'A' } }", "secret.env 'A' secret.env 'B'"):find('env = { "B" }', 1, true))
  t.eq(needs("declared()", "secret.env 'B'"):find "secret.env", nil) -- not to be told from here
  t.eq(told 'local fs = require "moongate.fs" fs.write("a", "b")', "") -- a plain script
end)

t.test("every Lua file of the program passes", function()
  local host = require "moongate.host"
  local known = {}
  for _, name in ipairs(check.script_globals()) do known[name] = true end
  known.collectgarbage = true
  for _, name in ipairs(host.embedded_list "") do
    if name:find "%.lua$" then t.eq(check.faults(host.embedded(name), name, known, { trusted = true }), {}) end
  end
end)
