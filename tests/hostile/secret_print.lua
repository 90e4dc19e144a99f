-- A secret that it may use, shown in every way.
-- flags: --allow-env=CANARY_SECRET
-- status: 1
-- says: \*\*\*
local secret, json = require "moongate.secret", require "moongate.json"
local s = assert(secret.env "CANARY_SECRET")
print(s, tostring(s), ("%s"):format(s))
print(pcall(function() return s .. "" end))
print(pcall(json.encode, { s }))
print(pcall(string.rep, s, 2))
print(pcall(next, s), pcall(rawget, s, 1), pcall(function() return #s end), pcall(function() return s.data end))
require("moongate.log").warn("%s", tostring(s))
for _, v in ipairs { "canary-", "env-value" } do print(v:upper()) end
error(s)
