-- job.lua - creates by POST: the job that the gateway begins is waited for, and one whose answer was lost is looked up
-- in the listing, since it can't be sent again. For write.lua only.

local errors = require "moongate.error"
local find = require "moongate.gateway.find"
local kinds = require "moongate.gateway.kinds"

local M = {}

local DEADLINE = 120     -- seconds for a job, where neither kind nor caller say
local LOOK = 30          -- seconds for which a lost create is looked for; its job may still be at work
local LOOK_EVERY = 3     -- seconds between two looks, at the most

local function milliseconds(seconds)
  return math.floor(seconds * 1000 + 0.5)
end

-- ---- awaited ----

local function no_job(w, result, message)
  error(errors.new {
    code = "protocol", method = w.method, path = w.path, status = result.http_status, outcome = "unknown",
    correlation_id = result.correlation_id, message = message,
    hint = ("look at %s before sending it again"):format(w.kind.list or w.path),
  }, 0)
end

-- A poll that came to no good end: what is known of the job goes along.
local function failed(w, job, path, err)
  job.status = err.code == "failed" and "failed" or "unknown"
  err.job = job
  local scope = err.status == 403 and kinds.is_scope(err) and w.kind.job.scope
  if err.code == "failed" then
    err.outcome = "final"
    err.message = ("%s: job %s failed%s"):format(w.kind.title, job.id, err.reason and ": " .. err.reason or "")
    err.hint = not (err.details or err.reason) and "The gateway does not say why." or nil
  else
    err.outcome = "unknown"
    err.message = ("%s: job %s: %s"):format(w.kind.title, job.id, err.message)
    err.hint = ("The job continues at the gateway: check %s before sending it again."):format(path)
    if scope then
      err.hint = ("The OAuth client needs the scope %s. %s"):format(scope, err.hint)
    end
  end
  error(err, 0)
end

-- M.await(w, result): waits for the job that result's answer names; gives result its id and job = {id, status,
-- duration_ms}. Raises "failed" with the job's errors, "timeout" after the deadline.
function M.await(w, result)
  local spec, clock = w.kind.job, w.gw.clock
  local name = spec.path:match("{([%w_]+)}")
  local id = type(result.body) == "table" and result.body[name]
  if type(id) ~= "string" or id == "" then no_job(w, result, ("the answer has no %s to wait for"):format(name)) end
  local place = kinds.locate({ title = "job" }, spec.path, result.body)
  local job, started = { id = id }, clock.monotonic()
  local ok, body = pcall(w.gw.poll, w.gw, spec.path, {
    params = place.params, field = spec.field, done = spec.done, failed = spec.failed, running = spec.running,
    deadline = w.job.deadline or spec.deadline or DEADLINE, max_interval = spec.max_interval, family = w.kind.family,
    watch = w.job.watch,
  })
  job.duration_ms = milliseconds(clock.monotonic() - started)
  if not ok then
    if not errors.is(body) then error(body, 0) end
    failed(w, job, place.path, body)
  end
  job.status = body[spec.field or "status"]
  result.job = job
  result.id = type(body.result) == "table" and body.result.id or nil
  if not result.id then no_job(w, result, ("job %s is %s, but names no result"):format(id, tostring(job.status))) end
end

-- ---- looked up ----

-- The resource that has just the content that was sent, or nil; and whether the listing could tell.
local function ours(w, content)
  local matches = find.matches(w.gw, w.kind, w.args, content)
  local tells = true
  for _, match in ipairs(matches) do
    if match.same_content then return match.resource, true end
    tells = tells and match.same_content ~= nil
  end
  return nil, tells
end

-- M.find(w, content) -> the listed resource that was made from it, or nil.
function M.find(w, content)
  return (ours(w, content))
end

local function give_up(w, err, why)
  err.message = err.message .. "; " .. why
  err.hint = ("look at %s before sending it again: it may have taken effect, or still do so"):format(w.kind.list)
  error(err, 0)
end

-- M.look_up(w, err) -> result, when the create whose answer was lost is found to have taken effect; or raises err,
-- which then says what was found. The listing is read for a while: a job may be at work.
function M.look_up(w, err)
  if err.outcome ~= "unknown" or w.method ~= "POST" or not (w.kind.same and w.kind.list) then error(err, 0) end
  local clock = w.gw.clock
  local stop, wait = clock.monotonic() + math.min(LOOK, w.job.deadline or LOOK), 0.25
  w.gw.log.warn("%s: %s; looking in %s whether it took effect", w.path,
    err.status and "answered " .. err.status or "the answer was lost", w.kind.list)
  while true do
    local read, resource, tells = pcall(ours, w, w.content)
    if not read then
      if not errors.is(resource) then error(resource, 0) end
      give_up(w, err, ("it could not be looked for either (%s)"):format(resource.message))
    end
    if resource then
      return {
        status = "reconciled", id = resource.id, body = resource, http_status = err.status, attempts = err.attempts,
        correlation_id = err.correlation_id,
      }
    end
    if not tells then give_up(w, err, "one of that name is there, but not told is whether it is what was sent") end
    if clock.monotonic() + wait >= stop then give_up(w, err, "it is not in the listing so far") end
    clock.sleep(wait)
    wait = math.min(wait * 2, LOOK_EVERY)
  end
end

return M
