#!/bin/sh
# A run ends when its root task has: an idle keep-alive connection, or a server that still waits for requests, must not
# hold it until some time-out (60 s for the server's).
echo 1..2
moongate=${MOONGATE:-build/moongate}

check() {
    if timeout 20 "$moongate" -e "$2" >/dev/null 2>&1; then echo "ok $1 - $3"; else echo "not ok $1 - $3"; fi
}

check 1 'local httpd, http = require "moongate.httpd", require "moongate.http"
local s = assert(httpd.serve { handler = function() return "hi" end })
assert(http.get(s.url).body == "hi")' 'an idle connection does not hold the end of a run'
check 2 'local task = require "moongate.task"
task.spawn(function() task.sleep(3600) end)' 'a child that sleeps is cancelled at the end of a run'
