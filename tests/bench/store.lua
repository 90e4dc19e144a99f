-- store.lua - durable batches a second, as a journal writes them, for tests/bench/store, which reads "rate N". TASKS at
-- a time, for SECONDS, in the store at STORE.
local t = require "moongate.test"
local host = require "moongate.host"
local store = require "moongate.store"
local task = require "moongate.task"
local time = require "moongate.time"

local tasks, seconds = math.tointeger(tonumber(host.getenv "TASKS")), tonumber(host.getenv "SECONDS")

local START = "INSERT INTO steps (run_id, seq, path, name, n, kind, state, intent_json, started_at) " ..
  "VALUES ($1, $2, $3, $4, $5, 'step', 'started', $6, {now})"
local DONE = "UPDATE steps SET state = 'done', result_json = $3, finished_at = {now} WHERE run_id = $1 AND seq = $2"

t.test("bench", function()
  local db <close> = assert(store.open(host.getenv "STORE"))
  local run, seq, batches = require("moongate.uuid").v4(), 0, 0
  local first = time.monotonic()
  local last = first + seconds
  local list = {}
  for i = 1, tasks do list[i] = i end
  task.map(list, tasks, function(i)
    while time.monotonic() < last do
      seq = seq + 1
      local mine = seq
      assert(db:batch { { START, run, mine, tostring(i), "put index", mine, '{"method":"PUT","path":"/api/v2/x"}' } })
      assert(db:batch { { DONE, run, mine, '{"ok":true,"etag":"abcdef"}', expect = 1 } })
      batches = batches + 2
    end
    return true
  end)
  print(("rate %.0f"):format(batches / (time.monotonic() - first)))
end)
