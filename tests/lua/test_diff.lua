local diff = require "moongate.diff"
local json = require "moongate.json"
local t = require "moongate.test"

local function lines(a, b) return table.concat(diff.lines(diff.compare(a, b)), "\n") end

t.test("equal values have no changes", function()
  t.eq(#diff.compare({ a = 1, b = { c = json.array {} } }, { a = 1.0, b = { c = json.array {} } }), 0)
end)

t.test("added, removed and changed members, by name", function()
  t.eq(lines({ b = 1, c = 768 }, { a = "x", c = 1536 }), '+ a: "x"\n- b: 1\n~ c: 768 -> 1536')
end)

t.test("a value that was not there, and null, are two things", function()
  t.eq(lines({}, { a = json.null }), "+ a: null")
  t.eq(lines({ a = json.null }, {}), "- a: null")
  t.eq(lines({ a = json.null }, { a = false }), "~ a: null -> false")
end)

t.test("an empty list is not an empty object", function()
  t.eq(lines({ a = json.array {} }, { a = {} }), "~ a: [] -> {}")
end)

t.test("an item that comes in the middle is one change", function()
  t.eq(lines(json.array { 1, 2, 3 }, json.array { 1, 9, 2, 3 }), "+ [1]: 9")
  t.eq(lines(json.array { 1, 9, 2, 3 }, json.array { 1, 2, 3 }), "- [1]: 9")
  t.eq(lines(json.array { 1, { b = false } }, json.array { 1, { b = true } }), "~ [1].b: false -> true")
  t.eq(lines(json.array { false }, json.array { false, false }), "+ [1]: false")
end)

t.test("names that are no identifiers are quoted, and pointers escaped", function()
  local changes = diff.compare({}, { ["a/b~c d"] = 1 })
  t.eq(changes[1].pointer, "/a~1b~0c d")
  t.eq(diff.path(changes[1].pointer), '["a/b~c d"]')
  t.eq(diff.path(""), "(document)")
end)

t.test("nothing there: the members come one by one", function()
  t.eq(lines(nil, { a = 1, b = 2 }), "+ a: 1\n+ b: 2")
  t.eq(lines({ a = 1 }, nil), "- a: 1")
end)

t.test("a long value is cut at a character", function()
  local shown = diff.show(("ä"):rep(200), 10)
  t.ok(utf8.len(shown), "valid UTF-8")
  t.ok(shown:find("(202 characters)", 1, true), shown)
end)

t.test("three-way: what only one side changed is taken", function()
  local merged, conflicts = diff.merge({ a = 1, b = 1, c = 1 }, { a = 2, b = 1 }, { a = 1, b = 3, c = 1, d = 4 })
  t.eq(conflicts, {})
  t.eq(merged, { a = 2, b = 3, d = 4 })
end)

t.test("three-way: both changed to the same is no conflict, to different is", function()
  local merged = diff.merge({ a = 1 }, { a = 2 }, { a = 2 })
  t.eq(merged, { a = 2 })
  local none, conflicts = diff.merge({ a = 1, b = 1 }, { a = 2, b = 2 }, { a = 3, b = 1 })
  t.ok(none == nil)
  t.eq(#conflicts, 1)
  t.eq(conflicts[1].pointer, "/a")
end)

t.test("three-way: removed by one, changed by the other", function()
  local none, conflicts = diff.merge({ a = 1 }, {}, { a = 2 })
  t.ok(none == nil)
  t.ok(conflicts[1].theirs == nil)
end)

t.test("three-way: false is a value", function()
  t.eq(diff.merge({ a = true }, { a = false }, { a = true, b = false }), { a = false, b = false })
end)

t.test("three columns show what is not the same in all", function()
  local text = diff.three_columns({ a = 1, b = 1 }, { a = 2, b = 1 }, { a = 3, b = 1 })
  t.eq(#text, 2)
  t.ok(text[2]:find("^a%s+1%s+2%s+3$"), text[2])
end)
