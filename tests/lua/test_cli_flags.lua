-- The argument parser of commands and workflows.
local flags = require "moongate.flags"
local t = require "moongate.test"

local SPEC = {
  args = { { "config", "files", repeated = true } },
  flags = {
    { "vector-store", "the store", env = "STORE", required = true },
    { "precision", "which", choices = { "standard", "high" }, default = "standard", letter = "p" },
    { "concurrency", "how many", type = "integer", default = 4, min = 1, max = 64 },
    { "ratio", "how much", type = "number" },
    { "wait", "how long", type = "duration", default = "2s" },
    { "confirm", "read back", type = "boolean", default = true },
    { "tag", "labels", repeated = true },
    { "tls", "files", nargs = 2, value = "CERT KEY" },
  },
}

local function parse(words, env, spec)
  return flags.parse(spec or SPEC, words, { getenv = function(name) return (env or { STORE = "s" })[name] end })
end

local function faults(words, env, spec)
  local values, list = parse(words, env, spec)
  t.eq(values, nil)
  return list
end

t.test("values, defaults and the environment", function()
  t.eq(parse { "a.json" }, {
    config = { "a.json" }, vector_store = "s", precision = "standard", concurrency = 4, wait = 2.0, confirm = true,
    tag = {},
  })
  t.eq(parse { "-p", "high", "a", "--concurrency=8", "b", "--wait", "800ms", "--no-confirm", "--tag", "x", "--tag=y",
    "--ratio", "-0.5", "--vector-store", "mine", "--tls", "c.pem", "k.pem" }, {
    config = { "a", "b" }, vector_store = "mine", precision = "high", concurrency = 8, wait = 0.8, confirm = false,
    tag = { "x", "y" }, ratio = -0.5, tls = { "c.pem", "k.pem" },
  })
  t.eq(parse({ "a", "-phigh", "--confirm=no" }).confirm, false)
end)

t.test("-- ends the flags, - and negative numbers are arguments", function()
  t.eq(parse({ "--", "--json", "-p" }).config, { "--json", "-p" })
  t.eq(parse({ "-", "-5", "-.5" }).config, { "-", "-5", "-.5" })
end)

t.test("every fault at once, each naming its flag", function()
  t.eq(faults({ "--precison", "x", "--concurrency", "many", "--ratio=0x10", "--wait", "soon", "-z" }, {}), {
    "unknown flag --precison (did you mean '--precision'?)",
    "--concurrency needs a whole number, not 'many'",
    "--ratio needs a number, not '0x10'",
    "--wait needs a duration such as 800ms, 2s, 1.5m or 1h, not 'soon'",
    "unknown flag -z",
    "--vector-store is required (or set STORE)",
  })
  t.eq(faults({}), { "missing argument CONFIG: files" })
  t.eq(faults { "a", "--precision", "hgih" },
    { "--precision needs one of standard, high, not 'hgih' (did you mean 'high'?)" })
  t.eq(faults { "a", "--concurrency", "0" }, { "--concurrency needs at least 1, not 0" })
  t.eq(faults { "a", "--concurrency", "65" }, { "--concurrency needs at most 64, not 65" })
  t.eq(faults { "a", "--concurrency", "1.5" }, { "--concurrency needs a whole number, not '1.5'" })
  t.eq(faults { "a", "--precision" }, { "--precision needs a value" })
  t.eq(faults { "a", "--precision", "--confirm" }, { "--precision needs a value" })
  t.eq(faults { "a", "--confirm=maybe" }, { "--confirm needs true or false, not 'maybe'" })
  t.eq(faults { "a", "--ratio", "1", "--ratio", "2" }, { "--ratio is given twice" })
  t.eq(faults { "a", "--tls", "c" }, { "--tls needs CERT KEY" })
  t.eq(faults { "a", "--no-ratio" }, { "unknown flag --no-ratio" })
end)

t.test("a faulty variable names itself and its flag; an empty one is not set", function()
  local spec = { flags = { { "n", "", type = "integer", env = "N" } } }
  t.eq(faults({}, { N = "x" }, spec), { "N (for --n) needs a whole number, not 'x'" })
  t.eq(parse({}, { N = "" }, spec), {})
  t.eq(parse({ "--n", "2" }, { N = "x" }, spec), { n = 2 })
end)

t.test("arguments: optional, too many, required", function()
  local spec = { args = { { "one" }, { "two", optional = true } } }
  t.eq(parse({ "1" }, {}, spec), { one = "1" })
  t.eq(parse({ "1", "2" }, {}, spec), { one = "1", two = "2" })
  t.eq(faults({ "1", "2", "3" }, {}, spec), { "one argument too many, from '3' on" })
  t.eq(faults({ "1", "2", "3", "4" }, {}, spec), { "2 arguments too many, from '3' on" })
end)

t.test("passthrough leaves the rest alone", function()
  local spec = { args = { { "script" }, { "args", optional = true, repeated = true } }, passthrough = 1 }
  t.eq(parse({ "s.lua", "--x", "--", "-y" }, {}, spec), { script = "s.lua", args = { "--x", "--", "-y" } })
end)

t.test("a declaration with a mistake raises", function()
  local function bad(spec, pattern) t.raises(function() flags.check(spec, { { "json" } }) end, pattern) end
  bad({ flags = { { "json", "" } } }, "%-%-json is one of moongate's own")
  bad({ flags = { { "a", typ = "integer" } } }, "'a' has an unknown field 'typ' %(did you mean 'type'%?%)")
  bad({ flags = { { "a", type = "int" } } }, "%-%-a has an unknown type 'int'")
  bad({ flags = { { "a" } }, args = { { "a" } } }, "'a' is declared twice")
  bad({ args = { { "a", repeated = true }, { "b" } } }, "'a' is repeated, but not the last")
  bad({ args = { { "no good" } } }, "argument 1 has no proper name")
  bad({ args = { "x" } }, "argument 1 is not a table")
  flags.check(SPEC, { { "json" } })
end)

t.test("every command declares what the parser understands", function()
  for _, command in ipairs(require("moongate.cli.commands").commands) do
    for _, c in ipairs(command.commands or { command }) do
      local copy = { args = c.args, flags = c.flags }
      flags.check(copy, require("moongate.cli.commands").globals)
      t.ok(c.summary and c.examples, command.name .. " has a summary and examples")
    end
  end
end)

t.test("durations", function()
  t.eq(flags.duration "800ms", 0.8)
  t.eq(flags.duration "1.5m", 90.0)
  t.eq(flags.duration "1e3", 1000.0) -- as a global flag
  for _, bad in ipairs { "", "s", "-1s", "1 s", "1w", "0x1s", "1s\0" } do t.eq(flags.duration(bad), nil, bad) end
end)
