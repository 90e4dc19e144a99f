-- test_hash.lua - hash and uuid as scripts see them.
local t = require "moongate.test"
local hash = require "moongate.hash"
local json = require "moongate.json"
local secret = require "moongate.secret"
local uuid = require "moongate.uuid"

t.test("SHA-256 and HMAC give the published values", function()
  t.eq(hash.sha256 "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
  t.eq(hash.sha256 "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
  t.eq(hash.sha256 "a\0b", hash.sha256("a\0" .. "b"))
  t.ok(hash.sha256 "a\0b" ~= hash.sha256 "a")
  t.eq(hash.hmac_sha256("Jefe", "what do ya want for nothing?"),
    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
  t.raises(hash.sha256, "string expected")
end)

t.test("a payload's hash is that of its canonical bytes", function()
  local v = { b = 1, a = json.array {}, c = { z = 1.0, y = "ä" } }
  t.eq(hash.payload(v), hash.sha256(json.encode(v)))
  t.eq(hash.payload { a = 1, b = 2 }, hash.payload { b = 2, a = 1 })
  t.eq(#hash.payload "x", 64) -- hex, not 32 characters of base64
  t.ok(hash.payload(json.array {}) ~= hash.payload {})
  t.fails("range", hash.payload { n = 2 ^ 53 | 0 })
  t.fails("invalid", hash.payload { f = print })
end)

t.test("a secret's bytes are the key, and are not seen", function()
  local key = secret.random(32)
  t.eq(#hash.hmac_sha256(key, "x"), 64)
  t.eq(hash.hmac_sha256(key, "x"), hash.hmac_sha256(key, "x"))
  t.raises(hash.hmac_sha256, "string expected", {}, "x")
end)

t.test("base64 goes round and is strict", function()
  for _, s in ipairs { "", "f", "fo", "foo", "foobar", "\0\255\n", ("x"):rep(100000) } do
    t.eq(hash.unbase64(hash.base64(s)), s)
  end
  t.eq(hash.base64 "fooba", "Zm9vYmE=")
  for _, s in ipairs { "Z", "Zg", "Zh==", "Zm 9v", "Z-_v", "=" } do t.fails("parse", hash.unbase64(s)) end
end)

t.test("equal", function()
  t.ok(hash.equal("abc", "abc"))
  t.ok(not hash.equal("abc", "abd") and not hash.equal("abc", "ab"))
end)

t.test("UUIDs are unique, marked with their version, and v7 is in order", function()
  local seen, last = {}, ""
  for _ = 1, 2000 do
    local a, b = uuid.v4(), uuid.v7()
    t.ok(not seen[a] and not seen[b])
    seen[a], seen[b] = true, true
    t.ok(a:find "^%x+%-%x+%-4%x%x%x%-[89ab]%x%x%x%-%x+$" and b:find "^%x+%-%x+%-7")
    t.ok(last < b)
    last = b
  end
  t.ok(uuid.is(uuid.v4()) and uuid.is(uuid.v7():upper()))
  for _, v in ipairs { "", "x", 1, {}, ("0"):rep(36) } do t.ok(not uuid.is(v)) end
end)

t.test("uuid.v5: a name's own", function()
  local dns = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
  t.eq(uuid.v5(dns, "www.example.com"), "2ed6657d-e927-568b-95e1-2665a8aea6a2") -- RFC 9562, A.4
  t.eq(uuid.v5(dns:upper(), "www.example.com"), "2ed6657d-e927-568b-95e1-2665a8aea6a2")
  t.ok(uuid.v5(dns, "a\0b") ~= uuid.v5(dns, "a"))
  t.eq(uuid.v5(dns, 12), uuid.v5(dns, "12"))
  for _, bad in ipairs {
    "none", dns .. "0", dns:sub(1, -2), (dns:gsub("%-", "0")), (dns:gsub("6", "g")), (dns:gsub("6", "-")),
  } do
    t.ok(not pcall(uuid.v5, bad, "x"), bad)
    t.ok(not uuid.is(bad), bad)
  end
end)
