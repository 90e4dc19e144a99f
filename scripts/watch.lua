-- watch: wait for a job of the gateway and show each of its states.

local answer = require "moongate.gateway.answer"
local errors = require "moongate.error"
local time = require "moongate.time"
local workflow = require "moongate.workflow"

return workflow.define {
  name = "watch",
  summary = "wait for a job and show its states",
  description = {
    "Polls the job until it has ended and prints each new state. Exit status 0: succeeded; 1: failed; 6: still running",
    "after --for.",
  },
  author = "moongate",
  categories = { "read" },
  journal = false,
  args = {
    { "what", "what to wait for", choices = { "job" } },
    { "id", "the job's id" },
  },
  flags = {
    { "kind", "set the kind of the job's resource", value = "KIND", default = "model" },
    { "for", "limit the time to wait", type = "duration", value = "DURATION", default = "2m" },
  },
  examples = { { "moongate watch job 7c0e4f5a" }, { "moongate watch job 7c0e4f5a --for 10m --json" } },
  run = function(run, args)
    local kind = run.gateway:kind(args.kind)
    local job = kind.job
    if not job then
      errors.raise { code = "usage", message = ("a %s is not created by a job"):format(kind.title) }
    end
    local name = job.path:match "{([%w_]+)}"
    local started = time.monotonic()
    local last
    local body = run.gateway:poll(job.path, {
      params = { [name] = args.id }, field = job.field, done = job.done, failed = job.failed, running = job.running,
      deadline = args["for"], max_interval = job.max_interval, family = kind.family,
      watch = function(state)
        if state ~= last then run:note(("%s: %s"):format(args.id, tostring(state))) end
        last = state
      end,
    })
    local state = answer.object(body)[job.field or "status"]
    return {
      id = args.id, status = state, body = body,
      text = { ("%s: %s after %.1f s"):format(args.id, tostring(state), time.monotonic() - started) },
    }
  end,
}
