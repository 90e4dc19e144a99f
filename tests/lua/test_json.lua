-- test_json.lua - json as scripts see it, and lua-cjson as an unrelated implementation to agree with.
local t = require "moongate.test"
local json = require "moongate.json"
local cjson = require "cjson"

t.test("a document survives the round trip byte for byte", function()
  local text = '{"a":[],"b":{},"c":9007199254740991,"d":0.1,"e":null,"f":[[],{}],"g":"\u{1f600}\\n"}'
  t.eq(json.encode(json.decode(text)), text)
end)

t.test("null, arrays and integers keep their nature", function()
  t.ok(json.null == cjson.null)
  t.ok(json.decode "null" == json.null)
  t.eq(math.type(json.decode "9007199254740993"), "integer")
  t.eq(math.type(json.decode "1.0"), "float")
  t.eq(json.encode(json.decode "[]"), "[]")
  t.eq(json.encode {}, "{}")
  t.eq(json.encode(json.array()), "[]")
  local list = json.array { 1 }
  t.ok(rawequal(json.array(list), list))
  t.ok(json.is_array(list) and json.is_array { 1, 2 } and json.is_array(json.decode "[]"))
  t.ok(not json.is_array {} and not json.is_array "x")
  t.ok(not json.is_array { 1, nil, 3 } and not json.is_array { 1, x = 2 })
  t.eq(getmetatable(list), "array")
end)

t.test("keys are sorted by UTF-16 code units", function()
  t.eq(json.encode { b = 1, a = 2, ["\u{fb33}"] = 3, ["\u{1f600}"] = 4 }, '{"a":2,"b":1,"\u{1f600}":4,"\u{fb33}":3}')
end)

t.test("what has no JSON form is named with its place", function()
  local err = t.fails("invalid", json.encode { list = { 1, { x = print } } })
  t.eq(err.where, "/list/1/x")
  t.fails("range", json.encode { n = 2 ^ 53 | 0 })
  t.fails("invalid", json.encode { n = 0 / 0 })
  t.eq(select(2, json.encode { "\xff" }).where, "/0")
  local loop = {}
  loop.a = { loop }
  t.eq(select(2, json.encode(loop)).where, "/a/0")
end)

t.test("decoding fails with line and column", function()
  local v, err = json.decode '{"a": 1,\n "a": 2}'
  t.ok(v == nil)
  t.eq({ err.code, err.line, err.column }, { "parse", 2, 2 })
  err = select(2, json.decode("[1, 9007199254740992]", { safe_integers = true }))
  t.eq({ err.code, err.line, err.column }, { "range", 1, 5 })
  t.ok(json.decode("[[1]]", { max_depth = 2 }))
  t.fails("parse", json.decode("[[1]]", { max_depth = 1 }))
  t.fails("parse", json.decode(("["):rep(100000)))
  t.fails("parse", json.decode "")
end)

t.test("a caller's mistakes raise", function()
  t.raises(json.encode, "value expected")
  t.raises(json.decode, "string expected", 12)
  t.raises(json.decode, "max_depth", "1", { max_depth = 0 })
  t.raises(json.decode, "unknown option", "1", { depth = 3 })
  t.raises(json.array, "table expected", 5)
  t.raises(json.array, "metatable", setmetatable({}, {}))
end)

t.test("cjson is encode, decode and null", function()
  local names = {}
  for name in pairs(cjson) do names[#names + 1] = name end
  table.sort(names)
  t.eq(names, { "decode", "encode", "null" })
end)

-- Both codecs read what the other wrote, where they should agree: no empty arrays, 14 digits at most.
local function random_value(depth)
  local kind = math.random(depth > 0 and 7 or 5)
  if kind == 1 then return math.random(-1000000000, 1000000000) end
  if kind == 2 then return math.random(1, 99999999) / 2 ^ math.random(1, 6) end
  if kind == 3 then
    local s = {}
    for i = 1, math.random(0, 12) do
      s[i] = utf8.char(math.random(4) > 1 and math.random(0, 127) or math.random(0x80, 0xd7ff))
    end
    return table.concat(s)
  end
  if kind == 4 then return math.random(2) == 1 end
  if kind == 5 then return json.null end
  local v = {}
  for i = 1, math.random(1, 40) do
    if kind == 6 then v[i] = random_value(depth - 1) else v["k" .. math.random(1000)] = random_value(depth - 1) end
  end
  return v
end

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for k, v in next, a do if not same(v, b[k]) then return false end end
  for k in next, b do if a[k] == nil then return false end end
  return true
end

t.test("lua-cjson and json understand each other", function()
  math.randomseed(42)
  for _ = 1, 400 do
    local v = random_value(3)
    local ours, theirs = t.ok(json.encode(v)), cjson.encode(v)
    t.ok(same(cjson.decode(ours), v), ours)
    t.ok(same(json.decode(theirs), v), theirs)
    t.ok(same(json.decode(ours), cjson.decode(theirs)), ours)
  end
end)

t.test("a record is written as its table would be, without what it does not name", function()
  local mark = json.record { "b", "a", "zz", "é", "1\"" }
  local function both(v) return json.encode(mark(v)), json.encode(v) end
  for _, make in ipairs {
    function() return {} end, function() return { a = 1 } end,
    function() return { zz = { a = "x", b = json.array {} }, b = json.null, ["1\""] = false } end,
    function() return { a = "x", b = { 1, 2 }, zz = 0.5, ["é"] = "y", ["1\""] = "\n" } end,
  } do
    local plain = json.encode(make())
    local first, again = both(make())
    t.eq(first, plain)
    t.eq(again, plain)
  end
  t.eq(json.encode(mark { other = 1, a = 2 }), '{"a":2}')
  t.eq(json.encode { mark { a = mark { b = 1 } }, mark {} }, '[{"a":{"b":1}},{}]')
  local marked = mark { a = 1 }
  t.eq(mark(marked), marked)
  t.eq(getmetatable(marked), "record")
  local text, err = json.encode(mark { a = 1, b = { print } })
  t.eq(text, nil)
  t.eq(err.where, "/b/0")
  for _, bad in ipairs { {}, { "a", "a" }, { 1 }, { "\xff" } } do t.ok(not pcall(json.record, bad)) end
  t.ok(not pcall(mark, setmetatable({}, {})) and not pcall(mark, json.array {}) and not pcall(mark, 1))
  local own = mark {}
  own.a = own
  t.ok(select(2, json.encode(own)).message:find("contains itself", 1, true))
end)

t.test("what others wrote is read and kept", function()
  local text = '{"id":18446744073709551615,"at":1796068869340511487,"p":1e999,"s":"\255\\ud800",'
    .. '"s2":"x","s2":"y","n":NaN}'
  t.fails("range", json.decode(text))
  local v = assert(json.decode(text, { lenient = true }))
  t.eq(v, {
    id = "18446744073709551615", at = 1796068869340511487, p = "1e999", s = "\239\191\189\239\191\189", s2 = "y",
    n = "NaN",
  })
  t.fails("range", json.encode(v))
  local kept = assert(json.encode(v, { lenient = true }))
  t.ok(kept:find('"at":1796068869340511487', 1, true))
  t.eq(json.decode(kept, { lenient = true }), v)
  t.eq(assert(json.decode("\239\187\191[]", { lenient = true })), {})
  local err = select(2, json.decode("\239\187\191<html>", { lenient = true }))
  t.ok(err.message:find("found '<'", 1, true))
  local keys = {}
  for i = 1, 90 do keys[i] = ('"k%d":%d'):format(i % 45, i) end
  local many = assert(json.decode("{" .. table.concat(keys, ",") .. "}", { lenient = true }))
  for i = 46, 90 do t.eq(many["k" .. i % 45], i) end
  t.raises(json.decode, "unknown option", "1", { lax = true })
end)

t.test("every value can be written", function()
  local loop = { 1 }
  loop[2] = loop
  local deep = {}
  local at = deep
  for _ = 1, 600 do
    at.a = {}
    at = at.a
  end
  local odd = { [1] = "a", [3] = "b", [true] = print, ["\128"] = -1 / 0, [0.5] = json.null }
  for _, v in ipairs { loop, deep, odd, { [json.null] = 1 }, "\237\160\128" } do
    t.eq(json.encode(v), nil)
    t.ok(json.decode(assert(json.encode(v, { lenient = true }))))
  end
  t.eq(json.encode(odd, { lenient = true }),
    '{"0.5":null,"1":"a","3":"b","true":"(function)","\239\191\189":"-Infinity"}')
end)
