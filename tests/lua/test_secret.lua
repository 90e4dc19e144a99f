-- Secret handles: nothing leads to what is in them.
local t = require "moongate.test"
local secret = require "moongate.secret"
local json = require "moongate.json"

t.test("a handle tells nothing", function()
  local s = t.ok(secret.random())
  t.ok(secret.is(s))
  t.ok(not secret.is "***")
  t.eq(tostring(s), "***")
  t.eq(("%s"):format(s), "***")
  t.raises(function() return s .. "" end, "can't be joined")
  t.raises(function() return "" .. s end, "can't be joined")
  t.raises(function() return #s end, "length")
  t.raises(function() return s.data end, "index")
  t.raises(function() return s < s end, "compare")
  t.raises(function() return ("x"):rep(s) end, "number expected")
  t.raises(function() return ("%q"):format(s) end, "no literal")
  t.raises(function() return table.concat { s } end, "invalid value")
  t.fails("invalid", json.encode { s })
  t.eq(getmetatable(s), "moongate.secret")
  t.ok(s ~= secret.random())
end)

t.test("the variable that it came from is known, and nothing else", function()
  t.eq(secret.variable(assert(secret.env "HOME")), "HOME")
  t.eq(secret.variable(secret.random()), nil)
  t.raises(secret.variable, "moongate.secret expected", "HOME")
end)

t.test("of: what was plain is a secret from now on", function()
  local s = assert(secret.of "plain-text-0815")
  t.ok(secret.is(s))
  t.eq(require("moongate.span").clean "so plain-text-0815 goes", "so *** goes")
  t.raises(function() secret.of "" end, "empty")
end)

t.test("env", function()
  t.fails("not_found", secret.env "MOONGATE_NO_SUCH_VARIABLE")
  t.ok(secret.is(secret.env "PATH"))
  t.raises(function() secret.env "" end, "variable's name")
  t.raises(function() secret.env "A=B" end, "variable's name")
  t.raises(function() secret.env "A\0B" end, "variable's name")
end)

t.test("file: closed to others, without its line end, and usable where a secret is", function()
  local fs, hash, host = require "moongate.fs", require "moongate.hash", require "moongate.host"
  local path = ("%s/%s"):format(host.getenv "XDG_STATE_HOME" or "build", require("moongate.uuid").v4())
  local keys = { ["abc"] = "abc", ["abc\n"] = "abc", ["abc\r\n"] = "abc", ["abc\n\n"] = "abc\n", ["a b "] = "a b " }
  for text, key in pairs(keys) do
    assert(fs.write(path, text, { mode = 384 })) -- 0600
    local handle = assert(secret.file(path))
    t.ok(secret.is(handle))
    t.eq(tostring(handle), "***")
    t.eq(hash.hmac_sha256(handle, "m"), hash.hmac_sha256(key, "m"))
  end
  for text, code in pairs { [""] = "invalid", ["\n"] = "invalid", [("x"):rep(4097)] = "too_large" } do
    assert(fs.write(path, text, { mode = 384 }))
    t.fails(code, secret.file(path))
  end
  for _, mode in ipairs { 384 + 32, 384 + 4, 384 + 16, 384 + 1 } do
    assert(fs.write(path, "abc", { mode = mode }))
    t.ok(t.fails("denied", secret.file(path)).message:find "chmod 600")
  end
  fs.remove(path)
  t.fails("not_found", secret.file(path))
  t.fails("invalid", secret.file "/")
  t.fails("invalid", secret.file "/dev/null")
  t.raises(function() secret.file "" end, "not a path")
end)

t.test("random", function()
  t.raises(function() secret.random(15) end, "16 to 64")
  t.raises(function() secret.random(65) end, "16 to 64")
  t.ok(secret.random(64))
end)
