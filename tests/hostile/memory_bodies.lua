-- What C code holds for a script, beside Lua's own memory: bodies that are being sent.
-- flags: --max-memory 64M --max-time 20s
-- status: 1
-- says: out of memory|not enough memory|memory limit
local http, httpd, task = require "moongate.http", require "moongate.httpd", require "moongate.task"
local server = assert(httpd.serve { handler = function() task.sleep(60) end })
local big = ("x"):rep(20 << 20)
local failed
for _ = 1, 100 do
  task.spawn(function()
    local _, err = http.post(server.url, { body = big })
    failed = failed or err
  end)
  task.sleep(0.01)
  if failed then error(failed) end
end
task.sleep(60)
