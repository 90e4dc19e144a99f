-- What outlives a task: background tasks, and what is done at the end of the command.
local closing = require "moongate.closing"
local host = require "moongate.host"
local t = require "moongate.test"
local task = require "moongate.task"

t.test("a background task goes on when the one that began it has ended, and its failure is nobody else's", function()
  local steps, other = {}, nil
  local starter = task.spawn(function()
    other = host.background(function(word)
      task.sleep(0.01)
      steps[#steps + 1] = word
      error "nobody hears of this"
    end, "went on")
  end)
  starter:join()
  t.eq(starter:status(), "done")
  t.eq(other:status(), "waiting")
  other:join()
  t.eq(steps, { "went on" })
  t.eq(other:status(), "failed")
end)

t.test("a background task can be cancelled, and closes what it holds", function()
  local closed = false
  local other = host.background(function()
    local guard <close> = setmetatable({}, { __close = function() closed = true end })
    task.sleep(60)
    return guard
  end)
  task.yield()
  other:cancel()
  other:join()
  t.eq(closed, true)
end)

t.test("what is to be done at the end is done once, the newest first, whatever one of it raises", function()
  local done = {}
  closing.add("first", function() done[#done + 1] = "first" end)
  closing.add("bad", function() error "of no use" end)
  closing.add("last", function()
    done[#done + 1] = "last"
    closing.add("more", function() done[#done + 1] = "more" end)
  end)
  closing.run()
  closing.run()
  t.eq(done, { "last", "more", "first" })
end)

t.test("a process knows itself, and tells that it lives", function()
  local me = host.process()
  t.ok(me.pid > 0 and me.started > 0)
  t.eq(host.process_life(me), "alive")
  me.started = me.started + 1
  t.eq(host.process_life(me), "gone")
  me.boot = "another machine"
  t.eq(host.process_life(me), "unknown")
end)
