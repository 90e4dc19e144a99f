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

t.test("env", function()
  t.fails("not_found", secret.env "MOONGATE_NO_SUCH_VARIABLE")
  t.ok(secret.is(secret.env "PATH"))
  t.raises(function() secret.env "" end, "variable's name")
  t.raises(function() secret.env "A=B" end, "variable's name")
  t.raises(function() secret.env "A\0B" end, "variable's name")
end)

t.test("random", function()
  t.raises(function() secret.random(15) end, "16 to 64")
  t.raises(function() secret.random(65) end, "16 to 64")
  t.ok(secret.random(64))
end)
