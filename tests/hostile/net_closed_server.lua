-- Its own server's address is nobody's once that is closed.
-- status: 7
-- says: --allow-net=127
local http = require "moongate.http"
local url, _, port = ...

local function try(what, value, err)
  if value then print("LEAK " .. what .. ": " .. tostring(value)) end
  print(what .. ": " .. tostring(err and err.code))
  last = err
end

local server = assert(require("moongate.httpd").serve { handler = function() return "mine" end })
local own = server.url
assert(http.get(own))
server:close()
local response, err = http.get(own)
if response then print "LEAK" end
error(err, 0)
