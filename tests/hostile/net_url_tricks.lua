-- URLs that different readers read differently.
-- flags: --allow-net=allowed.example
-- status: 1|2|7
-- says: .
local http = require "moongate.http"
local url, _, port = ...

local function try(what, value, err)
  if value then print("LEAK " .. what .. ": " .. tostring(value)) end
  print(what .. ": " .. tostring(err and err.code))
  last = err
end

for _, u in ipairs { "http://allowed.example@127.0.0.1:" .. port, "http://127.0.0.1:" .. port .. "#@allowed.example",
  "http://127.0.0.1:" .. port .. "\\@allowed.example/", "http://allowed.example:80@127.0.0.1:" .. port,
  "file:///etc/hostname", "ftp://127.0.0.1:" .. port, "gopher://127.0.0.1:" .. port, "http:127.0.0.1:" .. port,
  "HTTP://127.0.0.1:" .. port, "http://127.0.0.1:" .. port .. "/\r\nHost: x", "http:///127.0.0.1:" .. port,
  "http://allowed.example\0.127.0.0.1:" .. port, "http://127.0.0.1\t:" .. port } do
  local ok, value, err = pcall(http.get, u)
  try(u, ok and value or nil, ok and err or { code = "raised" })
end
error(last, 0)
