-- test_validate.lua - schemas over Lua values.
local t = require "moongate.test"
local json = require "moongate.json"
local validate = require "moongate.validate"

local function faults_of(schema, value)
  local ok, faults = schema:check(value)
  if ok then return {} end
  local lines = {}
  for i, f in ipairs(faults) do lines[i] = f.pointer .. ": " .. f.message end
  return lines
end

local index = t.ok(validate.compile([[{
  "type": "object", "additionalProperties": false, "required": ["name", "dimensions", "metric"],
  "properties": {
    "name": {"type": "string", "minLength": 3, "maxLength": 64, "pattern": "^[a-z0-9-]+$"},
    "dimensions": {"type": "integer", "minimum": 1, "maximum": 4096},
    "metric": {"enum": ["cosine", "dot", "euclidean"]},
    "ratio": {"type": "number", "multipleOf": 0.1},
    "tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": true, "minItems": 1},
    "url": {"format": "uri"}
  }
}]], { formats = true }))

t.test("a valid value", function()
  t.ok(index:check {
    name = "abc", dimensions = 10, metric = "dot", ratio = 0.3, tags = { "a", "b" }, url = "https://x.example/",
  })
  t.ok(index:check { name = "abc", dimensions = 10.0, metric = "dot" })
end)

t.test("every fault at once, ordered by place, in words", function()
  t.eq(faults_of(index, {
    name = "A", dimensions = 5000, metric = "cosin", ratio = 0.35, tags = { "a", 1, "a" }, url = "x", dimensons = 3,
  }), {
    '/dimensions: must be at most 4096, is 5000',
    '/dimensons: is not a known property; did you mean "dimensions"?',
    '/metric: must be one of "cosine", "dot", "euclidean"; is "cosin"; did you mean "cosine"?',
    '/name: must be at least 3 characters long, is 1',
    '/name: must match the pattern ^[a-z0-9-]+$, is "A"',
    '/ratio: must be a multiple of 0.1, is 0.35',
    '/tags: must have no equal items; 0 and 2 are',
    '/tags/1: must be a string, is a number (1)',
    '/url: must be an absolute URI such as https://example.com/path, is "x"',
  })
  t.eq(faults_of(index, {}), {
    ': needs the property "name"', ': needs the property "dimensions"', ': needs the property "metric"',
  })
  t.eq(faults_of(index, json.array()), { ": must be an object, is an array" })
  t.eq(faults_of(index, 12), { ": must be an object, is a number (12)" })
  local _, faults = index:check { name = "abc", dimensions = 0, metric = "dot" }
  t.eq(faults[1], { pointer = "/dimensions", keyword = "minimum", message = "must be at least 1, is 0",
    schema_pointer = "/properties/dimensions/minimum" })
  t.ok(json.is_array(faults))
end)

t.test("Lua's kinds of values", function()
  local any = t.ok(validate.compile { type = { "null", "boolean", "array" } })
  t.ok(any:check(json.null) and any:check(false) and any:check(json.array()) and any:check { 1, 2 })
  t.eq(faults_of(any, {}), { ": must be null, a boolean or an array, is an object" })
  t.eq(faults_of(any, print), { ": must be null, a boolean or an array (is not a JSON value)" })
  t.eq(faults_of(any, 0 / 0), { ": must be null, a boolean or an array (is not a JSON value)" })
  local list = t.ok(validate.compile { items = { type = "integer" } })
  t.ok(list:check { [3] = 3, [2] = 2, [1] = 1 })
  t.eq(#faults_of(list, { 1, nil, 3, [7] = 2 }), 1)
  t.eq(faults_of(list, { 1, 2, x = 3 }), { ": is an array with gaps or other keys" })
  local map = t.ok(validate.compile { additionalProperties = { type = "integer" } })
  t.eq(faults_of(map, { a = 1, b = "x" }), { '/b: must be an integer, is a string ("x")' })
end)

t.test("members in any order of the table, equal values of any spelling", function()
  local schema = t.ok(validate.compile { enum = { { a = 1, b = { 2, 3 } }, 5, json.null } })
  t.ok(schema:check { b = { 2.0, 3 }, a = 1.0 })
  t.ok(schema:check(5.0) and schema:check(json.null))
  t.ok(not schema:check { a = 1, b = { 3, 2 } })
  local unique = t.ok(validate.compile { uniqueItems = true })
  t.ok(not unique:check { { a = 1, b = 2 }, { b = 2.0, a = 1 } })
  t.ok(unique:check { 9007199254740993, 9007199254740992, "1", 1, true })
end)

t.test("mistakes in a schema are named with their place", function()
  local function message(schema, options)
    local err = t.fails("invalid", validate.compile(schema, options))
    return err.message
  end
  t.eq(message { type = "strnig" },
    '/type: "strnig" is not one of null, boolean, integer, number, string, array, object')
  t.eq(message { properties = { a = { minimum = "1" } } }, "/properties/a/minimum: must be a number")
  t.eq(message { ["$ref"] = "#/$defs/x" }, '/$ref: "#/$defs/x" leads to no schema')
  t.eq(message { ["$ref"] = "https://example.com/s" },
    '/$ref: schema "https://example.com/s" not found; references are never fetched')
  t.ok(message({ pattern = "(" }):find "is not a regular expression")
  t.fails("parse", validate.compile "{")
  t.raises(validate.compile, "a table or JSON text", 3)
  t.raises(validate.compile, "unknown option", {}, { format = true })
end)

t.test("references stay inside what was passed in", function()
  local schema = t.ok(validate.compile({ ["$ref"] = "other#/$defs/small" }, {
    id = "https://example.com/schemas/main",
    resources = { ["https://example.com/schemas/other"] = { ["$defs"] = { small = { maximum = 3 } } } },
  }))
  t.ok(schema:check(3))
  local _, faults = schema:check(4)
  t.eq(faults[1].schema_pointer, "https://example.com/schemas/other#/$defs/small/maximum")
  t.ok(validate.compile { ["$ref"] = "https://json-schema.org/draft/2020-12/schema" }:check { type = "object" })
  t.ok(not validate.compile { ["$ref"] = "https://json-schema.org/draft/2020-12/schema" }:check { type = 3 })
end)

t.test("hostile values and schemas end", function()
  local deep = {}
  for _ = 1, 5000 do deep = { deep } end
  local recursive = t.ok(validate.compile { items = { ["$ref"] = "#" } })
  local _, faults = recursive:check(deep)
  t.ok(faults[1].message:find "nests too deep")
  local loop = {}
  loop[1] = loop
  t.ok(not recursive:check(loop))
  t.ok(not validate.compile({ ["$ref"] = "#" }):check(1))
  local slow = t.ok(validate.compile { pattern = "^(a+)+$" })
  t.ok(not slow:check(("a"):rep(40) .. "b"))
  t.ok(not slow:check(("a"):rep(50000) .. "b"))
end)

t.test("a fault names the member that is missing, and the one that was probably meant", function()
  local schema = t.ok(validate.compile {
    properties = { dimensions = { type = "integer" }, ["a/b"] = {} }, required = { "a/b" },
    additionalProperties = false,
  })
  local _, faults = schema:check { dimensons = 1, other = 2 }
  local by = {}
  for _, f in ipairs(faults) do by[f.pointer] = f end
  t.eq({ by[""].property, by[""].near }, { "a/b", nil })
  t.eq({ by["/dimensons"].near, by["/dimensons"].property }, { "dimensions", nil })
  t.eq(by["/other"].near, nil)
end)
