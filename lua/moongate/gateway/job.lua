-- job.lua - creates by POST: the job that the gateway begins is waited for, and one whose answer was lost is looked up
-- in the listing, since it can't be sent again. For write.lua and journaled.lua only.

local answer = require "moongate.gateway.answer"
local errors = require "moongate.error"
local find = require "moongate.gateway.find"
local journal = require "moongate.journal"
local json = require "moongate.json"
local kinds = require "moongate.gateway.kinds"

local M = {}

local DEADLINE = 120     -- seconds for a job, where neither kind nor caller say
local LOOK = 30          -- seconds for which a lost create is looked for; its job may still be at work
local LOOK_EVERY = 3     -- seconds between two looks, at the most

local function milliseconds(seconds)
  return math.floor(seconds * 1000 + 0.5)
end

-- ---- awaited ----

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

-- The id of the job that was begun, and the members of the answer that its path is made of; nil when it names none.
local function job_of(w, result)
  local members, params = answer.object(result.body), {}
  for name in w.kind.job.path:gmatch "{([%w_]+)}" do
    params[name] = answer.id(members[name])
    if not params[name] then return nil end
  end
  return params[w.kind.job.path:match "{([%w_]+)}"], params
end

-- A create that was accepted, and whose resource has no id that is known: it is looked for in the listing. What is not
-- found was made all the same.
local function find_made(w, result, why)
  w.gw.log.warn("%s: %s; looking in %s for what it made", w.path, why, w.kind.list or "no listing")
  local found = w.kind.same and w.kind.list and M.search(w, {})
  result.id = found and answer.id(found.id) or nil
  if not result.id then w.gw.log.warn("%s: it was accepted, and its id is not known", w.path) end
end

local function id_in(body)
  local made = answer.object(body).result
  return answer.id(made) or answer.id(answer.object(made).id)
end

-- M.await(w, result): waits for the job that result's answer names; gives result its id and job = {id, status,
-- duration_ms}. Raises "failed" with the job's errors, "timeout" after the deadline. An answer that names no job is no
-- failure, since it was accepted: what it made is looked for in the listing.
function M.await(w, result)
  local spec, clock = w.kind.job, w.gw.clock
  local id, params = job_of(w, result)
  if not id then
    result.id = answer.id(answer.object(result.body).id)
    if not result.id then find_made(w, result, "the answer names no job") end
    return
  end
  local place = kinds.locate({ title = "job" }, spec.path, params)
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
  job.status = answer.object(body)[spec.field or "status"]
  result.job = job
  result.id = id_in(body)
  if not result.id then find_made(w, result, ("job %s is %s and names no result"):format(id, tostring(job.status))) end
end

-- ---- looked up ----

-- The resource that was made from the content, or nil; and whether the listing could tell. One of that name that was
-- not there before, and of which nothing else is told, is it.
local function ours(w, content)
  local before, tells, new = w.before_ids, true, {}
  for _, match in ipairs((find.matches(w.gw, w.kind, w.args, content))) do
    local id = answer.id(match.resource.id)
    if match.same_content and not (before and id and before[id]) then return match.resource, true end
    if match.same_content == nil and not (before and id and before[id]) then
      tells = false
      new[#new + 1] = match.resource
    end
  end
  if before and #new == 1 then return new[1], true end
  return nil, tells
end

-- M.note_before(w, ids): of those that were there before the create.
function M.note_before(w, ids)
  w.before_ids = {}
  for _, id in ipairs(ids) do w.before_ids[id] = true end
end

-- M.before(w) -> the same, as it is kept.
function M.before(w)
  local ids = json.array {}
  for id in pairs(w.before_ids) do ids[#ids + 1] = id end
  table.sort(ids)
  return ids
end

local function give_up(w, err, why)
  err.message = err.message .. "; " .. why
  err.hint = ("look at GET %s: it is not sent again, since it may have taken effect, or still do so; %s"):format(
    w.kind.list, M.way_on(w))
  error(err, 0)
end

-- M.way_on(w) -> what to do about a create of which nobody knows.
function M.way_on(w)
  local rec = w.record
  if not rec then return "if it is not there after a while, run this again" end
  local resume = "moongate runs resume " .. rec.journal.id
  return ("`%s` looks again; if it is not there after a while, `%s --redo '%s'` sends it again"):format(resume, resume,
    w.step and w.step.name or rec.name)
end

-- M.search(w, {content, raise, once}) -> the resource that a create has made, as the listing has it; or nil, whether
-- the listing could tell. Unless once, it is read for a while: a job may be at work. raise: what the listing raises.
function M.search(w, opts)
  local clock = w.gw.clock
  local stop, wait = clock.monotonic() + math.min(LOOK, w.job.deadline or LOOK), 0.25
  while true do
    local read, resource, tells = pcall(ours, w, opts.content or w.content)
    if not read and (not errors.is(resource) or opts.raise) then error(resource, 0) end
    if not read then return nil, false end
    if resource then return resource end
    if opts.once or not tells or clock.monotonic() + wait >= stop then return nil, tells end
    journal.pause(clock.sleep, wait)
    wait = math.min(wait * 2, LOOK_EVERY)
  end
end

-- M.look_up(w, err) -> result, when the create whose answer was lost is found to have taken effect; or raises err,
-- which then says what was found.
function M.look_up(w, err)
  if err.outcome ~= "unknown" or w.method ~= "POST" or not (w.kind.same and w.kind.list) then error(err, 0) end
  w.gw.log.warn("%s: %s; looking in %s whether it took effect", w.path,
    err.status and "answered " .. err.status or "the answer was lost", w.kind.list)
  local read, resource, tells = pcall(M.search, w, { raise = true })
  if not read then
    if not errors.is(resource) then error(resource, 0) end
    give_up(w, err, ("it could not be looked for either (%s)"):format(resource.message))
  end
  if resource then
    return {
      status = "reconciled", id = answer.id(resource.id), body = resource, http_status = err.status,
      attempts = err.attempts, correlation_id = err.correlation_id,
    }
  end
  give_up(w, err, tells and "it is not in the listing so far"
    or "a resource of that name exists, but the listing does not show whether its content is what was sent")
end

return M
