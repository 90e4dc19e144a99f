-- Files by way of modules that read for it.
-- status: 7
-- says: --allow-read=
local fs = require "moongate.fs"
local _, outside = ...

local function try(what, value, err)
  if value then print("LEAK " .. what .. ": " .. tostring(value)) end
  print(what .. ": " .. tostring(err and err.code))
  last = err
end

local audit = require "moongate.audit"
try("verify", audit.verify(outside .. "/canary"))
try("read", audit.read(outside .. "/canary"))
try("tls", require("moongate.httpd").serve { handler = print, tls = { cert = outside .. "/canary", key = outside .. "/canary" } })
local ok, err = pcall(require("moongate.documents").load_all, { outside .. "/canary" }, { load = print })
print(ok, err)
error(select(2, audit.verify(outside .. "/canary")), 0)
