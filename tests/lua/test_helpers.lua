-- The small modules that others share: options, merged tables, rounding, counted nouns, raised values, loopback.
local argument = require "moongate.argument"
local documents = require "moongate.documents"
local errors = require "moongate.error"
local host = require "moongate.host"
local merged = require "moongate.merged"
local raised = require "moongate.raised"
local rounded = require "moongate.rounded"
local t = require "moongate.test"
local text = require "moongate.text"

t.test("options: the names that are known, of the type that is wanted", function()
  local known = { size = "number", each = "any", on = true }
  local function call(opts) return argument.options("thing.make", opts, known) end
  t.eq(call(nil), {})
  local given = { size = 3, each = {}, on = false }
  t.ok(call(given) == given)
  t.raises(function() call { sise = 3 } end, "thing.make: unknown option 'sise' %(did you mean 'size'%?%)")
  t.raises(function() call { [1] = 3 } end, "thing.make: unknown option '1'")
  t.raises(function() call { size = "3" } end, "thing.make: size is a string, expected a number")
end)

t.test("merged: a new table, later fields first, nothing for nil", function()
  local a = { x = 1, y = 2 }
  local b = merged(a, nil, { y = 3, z = false })
  t.eq(b, { x = 1, y = 3, z = false })
  t.eq(a, { x = 1, y = 2 })
  t.eq(merged(nil), {})
  t.eq(merged(), {})
end)

t.test("milliseconds: one decimal, an integer where that is 0", function()
  t.eq(rounded.milliseconds(0.01234), 12.3)
  t.eq(math.type(rounded.milliseconds(0.012)), "integer")
  t.eq(math.type(rounded.milliseconds(0.01199999)), "integer")
  t.eq(rounded.milliseconds(0), 0)
  t.eq(rounded.tenths(2.25), 2.3)
end)

t.test("counts: an s, or the plural that is given", function()
  t.eq({ text.count(1, "file"), text.count(0, "file"), text.count(2, "file") }, { "1 file", "0 files", "2 files" })
  t.eq({ text.count(1, "try", "tries"), text.count(3, "try", "tries") }, { "1 try", "3 tries" })
end)

t.test("errors.raise raises what errors.new makes, at no place of its own", function()
  local ok, err = pcall(errors.raise, { code = "conflict", message = "taken", hint = "take another" })
  t.eq({ ok, errors.is(err), err.code, err.message, err.hint, err.where },
    { false, true, "conflict", "taken", "take another", nil })
  t.raises(function() errors.raise { code = "conflict" } end, "message: a string is required")
end)

t.test("what was raised is an error with a code", function()
  t.eq(raised.normal("plain").code, "script")
  t.eq(raised.normal(nil).message, "raised a nil value")
  local err = errors.new { code = "io", message = "disk" }
  t.ok(raised.normal(err) == err)
end)

t.test("this machine, however it is spelled", function()
  for _, name in ipairs { "localhost", "LOCALHOST", "127.0.0.1", "127.1", "0x7f.1", "[::1]", "::ffff:127.0.0.1" } do
    t.ok(documents.is_loopback(name), name)
    t.ok(host.is_loopback(name), name)
  end
  for _, name in ipairs { "127.0.0.1.example.com", "localhost.example.com", "128.0.0.1", "", "127.0.0.1\0.x.com" } do
    t.ok(not host.is_loopback(name), name)
  end
  t.eq(documents.url_fault "http://127.1:8080/hook", nil)
  t.eq(documents.url_fault "http://LocalHost/hook", nil)
  t.ok(documents.url_fault("http://127.0.0.1.example.com/hook"):find "must be https")
end)
