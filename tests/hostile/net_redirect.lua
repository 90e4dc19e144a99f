-- A redirect to a host that was not named: none is followed.
-- status: 0
-- says: 302
local http = require "moongate.http"
local url, _, port = ...

local server = assert(require("moongate.httpd").serve { handler = function()
  return { status = 302, headers = { Location = url } }
end })
local response = assert(http.get(server.url))
print(response.status)
