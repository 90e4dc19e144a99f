-- A host that nobody has named.
-- status: 7
-- says: --allow-net=127.0.0.1:%d+ would allow it|--allow-net=127
local http = require "moongate.http"
local url, _, port = ...

local function try(what, value, err)
  if value then print("LEAK " .. what .. ": " .. tostring(value)) end
  print(what .. ": " .. tostring(err and err.code))
  last = err
end

try("get", http.get(url))
try("client", http.client { base_url = url })
try("post", http.post(url, { body = "stolen" }))
error(last, 0)
