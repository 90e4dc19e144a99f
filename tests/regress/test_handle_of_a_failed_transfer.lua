-- A transfer that never got a connection leaves its buffer in libcurl's handle, which then refuses another size of it.
-- The next call with that handle, over TLS, is not out of memory.
local t = require "moongate.test"
local http = require "moongate.http"

local client = http.client { retry = false }

t.test("a call over TLS follows one over plain HTTP that got no connection", function()
  for _ = 1, 8 do
    local _, err = client:get("http://nowhere.invalid/", { deadline = 0.2 })
    t.ok(err, "there is no such host")
    _, err = client:get("https://127.0.0.1:1/", { deadline = 1 })
    t.eq(err.code, "connect")
  end
end)
