-- The addresses that hand out credentials, with everything allowed.
-- flags: --allow-all
-- status: 7
-- says: never allowed
local http = require "moongate.http"
local url, _, port = ...

local function try(what, value, err)
  if value then print("LEAK " .. what .. ": " .. tostring(value)) end
  print(what .. ": " .. tostring(err and err.code))
  last = err
end

for _, host in ipairs { "169.254.169.254", "2852039166", "0xa9fea9fe", "[fe80::1]", "[fd00:ec2::254]", "100.100.100.200",
  "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]" } do
  try(host, http.get("http://" .. host .. "/latest/meta-data/", { deadline = 5, connect_timeout = nil }))
end
error(select(2, http.get "http://169.254.169.254/"), 0)
