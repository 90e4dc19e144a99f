-- A token asked of a host that nobody has named.
-- status: 7
-- says: --allow-net=
local http = require "moongate.http"
local url, _, port = ...

local auth = require "moongate.auth"
local handle, err = auth.client_credentials { client_id = "a", client_secret = "b", login_url = url, origin = url }
if handle then handle, err = auth.token(handle) end
if handle then print "LEAK" end
error(err, 0)
