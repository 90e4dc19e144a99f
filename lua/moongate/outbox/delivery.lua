-- delivery.lua - one row of the outbox on its way: taken, sent, and what became of it noted. The audit log hears of it
-- first: a process that dies in between sends the message once more, under the same id, and says so once more. For
-- outbox.lua and what it stands on.

local errors = require "moongate.error"
local holder = require "moongate.holder"
local notify = require "moongate.webhooks.notify"
local messages = require "moongate.queue.kinds.message"
local schedule = require "moongate.outbox.schedule"
local target = require "moongate.outbox.target"
local time = require "moongate.time"

local M = {}

local AFTERWARDS = 10 -- seconds for a later try, which is one request

local GONE = 410

-- Nothing was sent: the receiver is being left alone.
local function postponed(err) return err.code == "breaker_open" and err.attempts == 0 end

-- What follows of a failure: {state, wait, counted, reason} and, for a dead letter, why.
local function verdict(row, err, mode, random)
  if err.status == GONE then return { state = "dead", counted = true, reason = "it answered 410 Gone" } end
  if err.code == "webhook_disabled" or err.code == "invalid" or err.code == "not_found" then
    return { state = "dead", reason = err.message }
  end
  if err.code == "denied" and mode.first then -- the script has no permission: nobody sends it in its stead
    return { state = "dead", counted = true, reason = err.message }
  end
  if err.code == "secret" or err.code == "denied" then
    return { state = "waiting", wait = row.next_at <= mode.now and schedule.ELSEWHERE or nil }
  end
  if postponed(err) then return { state = "waiting", wait = schedule.postponed(err.retry_after) } end
  if mode.early and row.next_at > mode.now then -- by hand, before its time: the schedule goes on as it was
    local floor = tonumber(err.retry_after)
    return { state = "waiting", wait = floor and math.max(schedule.postponed(floor), (row.next_at - mode.now) / 1000) }
  end
  local wait = schedule.wait(row.tries + 1, random(), err.retry_after)
  if wait then return { state = "waiting", wait = wait, counted = true } end
  return { state = "dead", counted = true, reason = ("failed after %d attempts"):format(row.tries + 1) }
end

-- env: what notify.try wants, and db, random. row: taken by `token`. hook, headers: where it goes; nil, err: nowhere.
-- mode: {first = the run's own attempts, early = by hand, now = the store's time, taken = ours when it was asked for}
-- -> note (see notify.try), err
function M.send(env, row, token, hook, headers, mode)
  local message = hook and {
    url = hook.url, body = row.body, id = row.id, profile = hook.profile or "standard", secret = hook.secret,
    headers = target.merged(hook.headers, headers), deadline = not mode.first and AFTERWARDS or nil,
    attempts = not mode.first and 1 or nil, ours_until = mode.taken + messages.LEASE,
    kept = mode.first and env.lasting or nil,
  }
  local outcome, started = nil, time.monotonic()
  local all = setmetatable({
    run_id = row.run_id,
    judge = function(note, err)
      outcome = verdict(row, err, mode, env.random)
      note.kept = env.lasting and outcome.state == "waiting" or nil
      note.dead = outcome.reason
      local now = mode.now / 1000 + time.monotonic() - started -- in the store's time
      note.next_try = outcome.wait and time.iso(now + outcome.wait) or nil
      note.tries = row.tries + (outcome.counted and 1 or 0)
    end,
  }, { __index = env })
  local note, err = notify.try(all, hook or { name = row.webhook, profile = row.profile }, row.event, message, row.id,
    not hook and headers or nil)
  outcome = outcome or { state = "done", counted = true }
  outcome.attempts, outcome.status, outcome.error = note.attempts, note.status, note.error
  if not messages.settle(env.db, row.id, token, outcome) then
    env.log.warn("webhook message %s: its lease expired while it was sent; another process may send it again", row.id)
  end
  return note, err, outcome.state
end

-- Takes the row of that id and sends it, unless somebody else is at it. -> as send; nil: somebody is, or it is over
function M.take(env, id, lease_holder, leased, mode)
  local token = holder.token()
  mode.taken = time.now()
  local over = leased and lease_holder and holder.gone(lease_holder) and lease_holder or nil
  local row = messages.claim(env.db, id, token, over)
  if not row then return nil end
  mode.now = row.now
  env.taken[id] = { row = row, token = token, mode = mode }
  local hook, headers = target.find(row, env.place)
  local note, err, state = M.send(env, row, token, hook, headers, mode)
  env.taken[id] = nil
  return note, err, state
end

-- The tasks that took rows were cancelled: what they had in hand counts as tried, or a receiver that never answers
-- would hold up each run anew. tell(state): called for each
function M.abandon(env, tell)
  for id, taken in pairs(env.taken) do
    env.taken[id] = nil
    local _, _, state = M.send(env, taken.row, taken.token, nil, errors.new {
      code = "timeout", attempts = 1, outcome = "unknown", message = "no answer before the run ended",
    }, taken.mode)
    tell(state)
  end
end

return M
