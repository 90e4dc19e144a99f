-- Signed notes as scripts see them. The form itself is held to published vectors in tests/unit/test_signed_note.c.
local t = require "moongate.test"
local json = require "moongate.json"
local note = require "moongate.note"
local secret = require "moongate.secret"

local text = "moongate plan\nsha256:9f2c\n"

t.test("a note that was signed is verified, and names its signer", function()
  local alice, bob = t.ok(note.generate "alice@example.com"), t.ok(note.generate "bob@example.com")
  local signed = t.ok(note.sign(alice, text))
  local read, names = note.verify(signed, { bob:vkey(), alice:vkey() })
  t.eq(read, text)
  t.eq(names, { "alice@example.com" })
  t.eq(note.name(alice:vkey()), "alice@example.com")
  t.fails("verify", note.verify(signed, { bob:vkey() }))
  t.fails("verify", note.verify(signed:gsub("9f2c", "9f2d"), { alice:vkey() }))
  t.fails("parse", note.verify(text, { alice:vkey() }))
  t.fails("parse", note.verify("", { alice:vkey() }))
end)

t.test("several people sign one text", function()
  local alice, bob = note.generate "alice@example.com", note.generate "bob@example.com"
  local both = note.sign(alice, text) .. note.sign(bob, text):match "\n\n(.*)$"
  local _, names = note.verify(both, { alice:vkey(), bob:vkey() })
  t.eq(names, { "alice@example.com", "bob@example.com" })
end)

t.test("a key is a handle: it comes from a secret and goes into one", function()
  local key = note.generate "alice@example.com"
  local pem = t.ok(note.pem(key))
  t.eq(tostring(pem), "***")
  t.eq(tostring(key), "***")
  t.eq(getmetatable(key), "moongate.note.key")
  t.eq(note.key("alice@example.com", pem):vkey(), key:vkey())
  t.ok(note.key("bob@example.com", pem):vkey() ~= key:vkey())
  t.fails("invalid", json.encode { key })
  t.fails("parse", note.key("alice@example.com", secret.of "not a key, but long enough"))
end)

t.test("wrong arguments", function()
  local key = note.generate "a"
  t.raises(function() note.generate "a b" end, "no white space")
  t.raises(function() note.generate "" end, "1 to 200 characters")
  t.raises(function() note.generate(("x"):rep(201)) end, "1 to 200 characters")
  t.raises(function() note.key("a", "-----BEGIN") end, "moongate.secret expected")
  t.raises(function() note.verify("x", {}) end, "1 to 64 verifier keys")
  t.raises(function() note.verify("x", { "no key" }) end, "key 1: not a verifier key")
  t.raises(function() note.verify("x", { 5 }) end, "are strings")
  t.fails("invalid", note.sign(key, "no line break"))
  t.fails("invalid", note.sign(key, "a\0b\n"))
  t.fails("parse", note.name "a+b")
end)
