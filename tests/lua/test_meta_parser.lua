-- lua/meta as data: annotations, types, and that every file of it is understood whole.
local meta = require "moongate.meta"
local parser = require "moongate.meta.parser"
local types = require "moongate.meta.types"
local t = require "moongate.test"

t.test("a type ends where its text begins", function()
  local function take(text, kind, rest) t.eq({ types.take(text) }, { kind, rest }) end
  take("string the name", "string", "the name")
  take("integer", "integer", "")
  take("table<string, string|number> headers", "table<string, string|number>", "headers")
  take("{max?: integer, base?: number}|boolean default true", "{max?: integer, base?: number}|boolean", "default true")
  take('"a"|"b" | nil which', '"a"|"b" | nil', "which")
  take("(string|false)[]? lines without breaks", "(string|false)[]?", "lines without breaks")
  take("fun(item: T, index: integer): R called for each", "fun(item: T, index: integer): R", "called for each")
  take("fun(): string?, error? what", "fun(): string?, error?", "what")
  take("fun(a: string) told", "fun(a: string)", "told")
end)

t.test("parts of a union, and whether it may be absent", function()
  t.eq({ types.parts "string|nil" }, { { "string" }, true })
  t.eq({ types.parts "integer?" }, { { "integer" }, true })
  t.eq({ types.parts "(function|a.b)[]" }, { { "(function|a.b)[]" }, false })
  t.eq({ types.parts "boolean|{a?: integer|string, b: {c: number}}" },
    { { "boolean", "{a?: integer|string, b: {c: number}}" }, false })
  t.eq(types.literal "{a?: integer|string, b: {c: number}}", {
    { name = "a", type = "integer|string", optional = true, doc = "" },
    { name = "b", type = "{c: number}", optional = false, doc = "" },
  })
  t.eq(types.literal "table<string, string>", nil)
  t.eq(types.literal "{[string]: number}", nil)
end)

local TEXT = [[
---@meta moongate.thing

---Things, and what is done to them.
---
---Every call waits.
---@class moongate.thing
---@field limit integer how many there may be
local thing = {}

---@class moongate.thing.options
---@field name string what it is called
---@field tries? integer at most so many,
---  and never more than 8
---@field deep {inner: boolean}?

---Makes one.
---
---Errors: `denied` (no permission), `exists`.
---@param name string
---@param options? moongate.thing.options how
---@return moongate.thing.handle? handle
---@return moongate.error? err io, not_found
---@see moongate.fs
function thing.make(name, options) end

---One of them.
---@class moongate.thing.handle: moongate.base
local handle = {}

---@param ... any
---@return boolean
function handle:go(...) end

return thing
]]

t.test("a module: functions, classes, fields, methods, error codes", function()
  local m = parser.parse(TEXT, "moongate.thing", "thing.lua")
  t.eq(m.faults, {})
  t.eq(m.doc, "Things, and what is done to them.\n\nEvery call waits.")
  t.eq(m.fields[1].name, "limit")
  local fn = m.functions[1]
  t.eq({ fn.name, fn.signature, fn.line, #m.functions }, { "make", "make(name, options)", 24, 1 })
  t.eq(fn.doc, "Makes one.\n\nErrors: `denied` (no permission), `exists`.")
  t.eq(fn.params, {
    { name = "name", type = "string", doc = "", optional = false },
    { name = "options", type = "moongate.thing.options", doc = "how", optional = true },
  })
  t.eq(fn.returns[1], { type = "moongate.thing.handle?", name = "handle", doc = "", optional = true })
  t.eq(fn.errors, { "denied", "exists", "io", "not_found" })
  t.eq(fn.see, { "moongate.fs" })
  local options, handle = m.classes[2], m.classes[3]
  t.eq(options.fields[2].doc, "at most so many, and never more than 8")
  t.eq(options.fields[3].optional, true)
  t.eq({ handle.name, handle.parents[1], handle.doc }, { "moongate.thing.handle", "moongate.base", "One of them." })
  t.eq({ handle.methods[1].name, handle.methods[1].owner, handle.methods[1].method },
    { "go", "moongate.thing.handle", true })
end)

t.test("what can't be read is told with its line", function()
  local m = parser.parse("---@meta x\n---@wrong a\n---@class a\n---@field\nlocal x = {}\n---@param b string\n"
    .. "function x.f(a) end\nfunction y.g() end\nreturn x\n", "x", "x.lua")
  t.eq(m.faults, {
    "x.lua:2: unknown annotation @wrong", "x.lua:4: a field that can't be read: ",
    "x.lua:7: f: parameter 1 is b here and a in the function", "x.lua:8: g belongs to no class",
  })
end)

t.test("every file of lua/meta is understood", function()
  t.ok(#meta.modules() >= 18)
  for _, name in ipairs(meta.modules()) do
    local m = meta.module(name)
    t.eq(m.faults, {}, name)
    t.ok(#m.functions > 0, name)
    for _, fn in ipairs(m.functions) do
      local documented = #fn.params
      if fn.declared[#fn.declared] == "..." and documented < #fn.declared then documented = documented + 1 end
      t.eq(documented, #fn.declared, name .. "." .. fn.name .. ": parameters")
    end
  end
end)

t.test("things are found by the names people use", function()
  local function kind(path) return (meta.find(path)) end
  t.eq({ kind "http", kind "moongate.http", kind "http.request", kind "http.client:get", kind "fs.stat.size",
    kind "http.request_options" }, { "module", "module", "function", "method", "field", "class" })
  t.eq(meta.find "http.reqest", nil)
  t.eq(meta.module "nothing", nil)
  t.eq(meta.method("moongate.http.error", "nothing"), nil)
end)

t.test("the fields that a table of options may have", function()
  local names = {}
  for _, field in ipairs(meta.fields "moongate.http.client_options") do names[field.name] = true end
  t.ok(names.base_url and names.retry and not names.retries)
  t.eq(#meta.fields "boolean|{max?: integer, base_ms?: number}", 2)
  t.eq(meta.fields "table<string, string>", nil)
  t.eq(meta.fields "moongate.audit.fields", nil) -- any name goes
  t.eq(meta.fields "string", nil)
  t.eq(meta.fields "moongate.http.error", nil) -- its parent's, too: any name goes
end)
