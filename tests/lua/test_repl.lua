-- The parts of the prompt: lines as functions, values as text, secrets in lines, what Tab offers, what :save writes.
local t = require "moongate.test"
local chunk = require "moongate.repl.chunk"
local complete = require "moongate.repl.complete"
local json = require "moongate.json"
local save = require "moongate.repl.save"
local secrets = require "moongate.repl.secrets"
local session = require "moongate.repl.session"
local show = require "moongate.repl.show"
local workflow = require "moongate.workflow"

t.test("locals outside of every block are the session's", function()
  for text, want in pairs {
    ["local x = 1"] = "      x = 1",
    ["local a, b = 1, 2"] = "      a, b = 1, 2",
    ["local a <const> = 1"] = "      a         = 1",
    ["local x"] = "      x = nil;",
    ["local function f() local y = 1 return y end"] = "      function f() local y = 1 return y end",
    ["do local x = 1 end"] = "do local x = 1 end",
    ["for i = 1, 2 do local x = i end local z = 3"] = "for i = 1, 2 do local x = i end       z = 3",
    ["if a then local b = 1 elseif c then local d end"] = "if a then local b = 1 elseif c then local d end",
    ["repeat local x = 1 until x"] = "repeat local x = 1 until x",
    ["while f(function() local x end) do local y end"] = "while f(function() local x end) do local y end",
    ["local f <close> = g()"] = "local f <close> = g()",
    ["x = 'local y = 1' -- local z"] = "x = 'local y = 1' -- local z",
    ["local t = {\n  1 }\nlocal u = t"] = "      t = {\n  1 }\n      u = t",
  } do
    t.eq((chunk.lift(text)), want, text)
  end
end)

t.test("what is whole, what is not, what is wrong", function()
  local function kind(text)
    local fn, what = chunk.compile(text, {})
    return fn and what or type(what) == "table" and what.code or what
  end
  for text, want in pairs {
    ["1 + 1"] = "expression", ["f()"] = "expression", ["1;"] = "expression", ["= 3"] = "expression",
    ["x -- a comment"] = "expression", ["x = 1"] = "statement", ["for i = 1, 2 do"] = "incomplete",
    ["f("] = "incomplete", ["1 +"] = "incomplete", ["[[text"] = "incomplete", ["--[[ text"] = "incomplete",
    ["function f()"] = "incomplete", ["x ="] = "incomplete", ["x = = 1"] = "parse", ["'text"] = "parse",
    [")"] = "parse", ["return 1"] = "statement", ["goto a ::a::"] = "statement",
  } do
    t.eq(kind(text), want, text)
  end
  t.eq(kind "", nil)
  t.eq(kind "  -- nothing", nil)
  t.eq(table.pack(chunk.compile("1, nil, nil", {})()), { 1, n = 3 })
end)

t.test("values as text", function()
  local itself = {}
  itself.me = itself
  for _, case in ipairs {
    { 1, "1" }, { 1.5, "1.5" }, { "a\n\"b\"", [["a\n\"b\""]] }, { "\255", [["\xff"]] }, { {}, "{}" },
    { { 1, 2 }, "{ 1, 2 }" }, { { a = 1, ["b c"] = 2, [true] = 3, ["end"] = 4 },
      '{ a = 1, ["b c"] = 2, ["end"] = 4, [true] = 3 }' },
    { json.null, "json.null" }, { json.array {}, "json.array {}" }, { itself, "{ me = { (itself) } }" },
    { { token = "abc", max_tokens = 5, password = "x" }, "{ max_tokens = 5, password = ***, token = *** }" },
    { { { { { { { 1 } } } } } }, "{ { { { { { ... } } } } } }" },
  } do
    t.eq(show.value(case[1]), case[2])
  end
  t.ok(show.value(("x"):rep(5000)):find ' %.%. %(5000 bytes%)$')
  local many = {}
  for i = 1, 100 do many[i] = i end
  t.ok(show.value(many):find "%.%.%. 60 more")
  t.ok(#show.value(setmetatable({}, { __index = function() error "no" end })) > 0)
  t.ok(#show.value(setmetatable({}, { __tostring = function() error "no" end })) > 0)
  t.eq(show.values({ n = 3, 1, nil, "a" }), '1  nil  "a"')
end)

t.test("secrets in lines", function()
  for line, want in pairs {
    ["password = 'abc'"] = "password = '***'",
    ['local api_key = "abc"; x = "y"'] = 'local api_key = "***"; x = "y"',
    ["t = { client_secret = [[abc]], name = 'n' }"] = "t = { client_secret = \"***\", name = 'n' }",
    ["t['access-token'] = 'abc'"] = "t['access-token'] = '***'",
    ["secret.of 'abc'"] = "secret.of '***'", ["secret.of('abc')"] = "secret.of('***')",
    ["auth.bearer('abc', 'https://x')"] = "auth.bearer('***', 'https://x')",
    ["h = { Authorization = 'Bearer abc' }"] = "h = { Authorization = '***' }",
    ["local token <const> = 'abc'"] = "local token <const> = '***'",
    ["local user, password = 'u', 'abc'"] = "local user, password = '***', '***'",
    ["token = token or 'abc'"] = "token = token or '***'",
    ["c.auth.password = ('ab' .. 'c')"] = "c.auth.password = ('***' .. '***')",
    ["token = secret.env 'NAME'"] = "token = secret.env 'NAME'",
    ["token = secret.env('NAME')"] = "token = secret.env('NAME')",
    ["c = { token = t, name = 'n' }"] = "c = { token = t, name = 'n' }",
    ["max_tokens = 5"] = "max_tokens = 5", ["name = 'abc'"] = "name = 'abc'",
    ["token = 'unfinished"] = "token = '***'",
  } do
    t.eq(secrets.clean(line), want, line)
  end
end)

local function new_session()
  return session.new { run = workflow.open {}, report = function() end }
end

t.test("what Tab offers", function()
  local s = new_session()
  local function offers(text)
    local word, list = complete.candidates(s, text)
    return word, table.concat(list, " ")
  end
  s:eval "mine = { alpha = 1, beta = function() end, inner = { gamma = 2 } }"
  s:eval "text = 'abc'"
  t.eq(select(2, offers "min"), "mine")
  t.eq(select(2, offers "mine."), "alpha beta inner")
  t.eq(select(2, offers "mine:"), "beta")
  t.eq(select(2, offers "print(mine.inner.g"), "gamma")
  t.eq(select(2, offers "x = http.req"), "request")
  t.eq(select(2, offers "text:gm"), "gmatch")
  t.eq(select(2, offers "run:sle"), "sleep")
  t.eq(select(2, offers "nothing.here.x"), "")
  t.eq(select(2, offers "f().x"), "")
  t.eq(select(2, offers 'require "moongate.te'), "moongate.template")
  t.eq(select(2, offers 'require("moongate.uui'), "moongate.uuid")
  t.eq(select(2, offers 'x = "READM'), "README.md")
  t.eq(select(2, offers 'x = "src/rep'), "src/repl/")
  t.eq(select(2, offers ":sa"), "save")
  t.eq(select(2, offers ":help uuid.v7"), "uuid.v7")
  t.eq(select(2, offers ":dry o"), "off on")
  t.eq(select(2, offers ":time mine.al"), "alpha")
  t.eq(select(2, offers "ret"), "return")
  local erase, insert = complete.offer(s, "mine.al", 7, 80)
  t.eq({ erase, insert }, { 0, "pha" })
  t.eq(select(3, complete.offer(s, "mine.", 5, 80)), "alpha  beta   inner\n")
end)

t.test("a failing line leaves the session as it was", function()
  local s = new_session()
  t.eq((s:eval "a = 1"), "ok")
  local status, err = s:eval "error(require 'moongate.error'.new { code = 'mine', message = 'm' })"
  t.eq(status, "failed")
  t.eq(err.code, "mine")
  status, err = s:eval "local x = nil + 1"
  t.eq(status, "failed")
  t.eq(err.where, "repl:1")
  t.eq(select(2, s:eval "a")[1], 1)
  t.eq(#s.entries, 2)
end)

t.test("what :save writes", function()
  local s = new_session()
  for _, line in ipairs {
    "local n = 2", "n", "1 + 1", "uuid.v4()", "print(_)", "help(uuid)", "function twice(x) return x * n end",
    "error 'no'", "x = twice(n)", "password = 'abc'",
  } do
    s:eval(line)
  end
  local text = save.text(s, "some/my session 2.lua")
  t.eq(text:gsub("^[^\n]*\n", ""), [[
local workflow = require "moongate.workflow"
local uuid = require "moongate.uuid"

return workflow.define {
  name    = "my-session-2",
  summary = "what was done in a session of the prompt",
  run = function()
    local _, n, password, twice, x
    n = 2
    _ = uuid.v4()
    print(_)
    function twice(x) return x * n end
    x = twice(n)
    password = '***'
  end,
}
]])
end)
