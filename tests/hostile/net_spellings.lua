-- This machine in every spelling, with all names allowed.
-- flags: --allow-net=*
-- status: 7
-- says: an address of this machine or of a private network
local http = require "moongate.http"
local url, _, port = ...

local function try(what, value, err)
  if value then print("LEAK " .. what .. ": " .. tostring(value)) end
  print(what .. ": " .. tostring(err and err.code))
  last = err
end

for _, host in ipairs { "127.0.0.1", "2130706433", "0x7f000001", "0x7f.1", "017700000001", "0177.0.0.1", "127.1", "[::1]", "[::ffff:127.0.0.1]",
  "[::ffff:7f00:1]", "0.0.0.0", "0", "localhost", "LOCALHOST.", "[::]", "%6cocalhost", "127.0.0.1%2e" } do
  try(host, http.get("http://" .. host .. ":" .. port .. "/", { deadline = 5 }))
end
error(select(2, http.get("http://localhost:" .. port .. "/")), 0)
