-- steps.lua - durable steps a second of a real run, for tests/bench/store, which reads "rate N": --tasks of them, for
-- --seconds, each step begun and ended in the journal.
local task = require "moongate.task"
local time = require "moongate.time"
local workflow = require "moongate.workflow"

return workflow.define {
  name = "steps", summary = "as many steps as there is time for",
  flags = {
    { "tasks", "at once", type = "integer", min = 1, required = true },
    { "seconds", "how long", type = "number", required = true },
  },
  run = function(run, args)
    local list, steps = {}, 0
    for i = 1, args.tasks do list[i] = i end
    local first = time.monotonic()
    assert(task.map(list, args.tasks, function()
      while time.monotonic() - first < args.seconds do
        run:step("put index", function() return { ok = true, etag = "abcdef" } end)
        steps = steps + 1
      end
      return true
    end))
    return { text = ("rate %.0f"):format(steps / (time.monotonic() - first)) }
  end,
}
