-- A batch gives the slot of a thing whose webhook waits to the next one; what is worked on stays within the limit.
local batch = require "moongate.batch"
local fixture = require "run_fixture"
local httpd = require "moongate.httpd"
local slots = require "moongate.slots"
local t = require "moongate.test"
local task = require "moongate.task"

t.test("a batch continues while a receiver takes its time", function()
  local open, began, inside, most = task.semaphore(1), 0, 0, 0
  open:acquire()
  local server = assert(httpd.serve { handler = function()
    open:acquire() -- no message is answered before every thing has been begun
    open:release()
    return { status = 204 }
  end })
  local job = fixture.define(function(run)
    local entries = batch.map(run, { 1, 2, 3, 4, 5, 6, 7 }, {
      noun = "things", concurrency = 2, changed = {},
      entry = function(n) return { n = n, status = "made" } end,
      name = function(entry) return tostring(entry.n) end,
      work = function(n, entry)
        run:step("make " .. n, function()
          began, inside = began + 1, inside + 1
          most = math.max(most, inside)
          task.sleep(0.01)
          inside = inside - 1
          if began == 7 then open:release() end
          return { n = n }
        end, { webhook = function(made) return "made", made end, told = batch.told(entry) })
        inside = inside + 1
        most = math.max(most, inside)
        task.yield()
        inside = inside - 1
      end,
    })
    for i, entry in ipairs(entries) do
      assert(entry.n == i and entry.status == "made" and entry.webhooks[1].delivered)
    end
    return {}
  end)
  local outcome, err = fixture.live(fixture.store(), job, {
    session = { project = { webhooks = { hook = { url = server.url } } } },
  })
  server:stop()
  t.ok(outcome, tostring(err))
  t.eq(began, 7)
  t.eq(most, 2, "never more than two at a time")
end)

t.test("a slot is given back whatever happens, and outside of one nothing is", function()
  local one = slots.new(1)
  t.eq(pcall(one.with, one, function() slots.aside(error, "no", 0) end), false)
  t.eq(pcall(one.with, one, error, "no", 0), false)
  t.eq(one:with(function() return slots.aside(function(...) return ... end, 4) end), 4)
  t.eq(slots.aside(function() return 5 end), 5)
end)
