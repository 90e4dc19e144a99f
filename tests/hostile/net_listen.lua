-- A server for the whole world.
-- status: 7
-- says: --allow-net=0.0.0.0
local http = require "moongate.http"
local url, _, port = ...

local server, err = require("moongate.httpd").serve { host = "0.0.0.0", handler = print }
if server then print "LEAK" end
error(err, 0)
