-- Work for store_cut.t: 8 tasks, 40 batches of two rows each, each followed by a transaction that counts it. A batch
-- that ran twice would meet its own key.
local t = require "moongate.test"
local child = require "moongate.child"
local host = require "moongate.host"
local store = require "moongate.store"
local task = require "moongate.task"

local TASKS, BATCHES = 8, 40
local PUT = "INSERT INTO cells (kind, key, value_json) VALUES ('cut', $1, '1')"

local function restart(script, mode)
  local server <close> = assert(child.start { args = { script, "--restart", mode } })
  local text = ""
  for piece in function() return server:read() end do text = text .. piece end
  t.eq(server:status(), 0, text)
end

t.test("nothing is lost, and nothing happens twice", function()
  local db = assert(store.session())
  assert(db:exec "INSERT INTO cells (kind, key, value_json) VALUES ('cut', 'count', '0')")
  local running = TASKS
  local workers = {}
  for w = 1, TASKS do
    workers[w] = task.spawn(function()
      for i = 1, BATCHES do
        local key = ("w%d.%d"):format(w, i)
        assert(db:batch { { PUT, key .. "a", expect = 1 }, { PUT, key .. "b", expect = 1 } })
        assert(db:transaction(function(tx)
          local n = tonumber(assert(tx:exec "SELECT value_json FROM cells WHERE key = 'count' {lock}")[1].value_json)
          assert(tx:exec("UPDATE cells SET value_json = $1 WHERE key = 'count'", tostring(n + 1)))
          return true
        end))
      end
      running = running - 1
      return true
    end)
  end
  local script = host.getenv "RESTART"
  local modes = { "immediate", "fast", "immediate", "fast", "immediate" }
  for i = 1, script and #modes or 0 do
    if running > 0 then restart(script, modes[i]) end
  end
  for _, worker in ipairs(workers) do assert(worker:join()) end
  t.eq(assert(db:exec "SELECT value_json FROM cells WHERE key = 'count'")[1].value_json, tostring(TASKS * BATCHES))
end)
