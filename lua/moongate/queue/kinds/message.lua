-- message.lua - the queue `messages`: a webhook's message each, with an id of its own. Its payload is the body, its
-- facts say where it goes (moongate.outbox.target), its result what became of the last try. It is queued in the
-- transaction of what it announces. For outbox.lua and what it stands on, and the command line.
--
-- To people and to the outbox a row is {id, seq, webhook, url, event, profile, headers_json, secret_ref, run_id, step,
-- body, state, attempts = requests made, tries = of the schedule, next_at, last_status, last_error, lease_holder,
-- lease_until, created_at, finished_at}.

local cleaned = require "moongate.cleaned"
local json = require "moongate.json"
local plain = require "moongate.plain"
local rows = require "moongate.queue.rows"

local M = { name = "message" }

local QUEUE = "messages"

-- Longer than one delivery can take: the run's attempts have 20 seconds, a later one 10.
local LEASE_MS = 60000
M.LEASE = LEASE_MS / 1000

local KEPT_MS = 30 * 86400 * 1000 -- delivered and dropped ones are kept for so long

M.STATES = { "queued", "waiting", "running", "dead", "done", "dropped" }

local OPEN = "state IN ('queued', 'waiting', 'running')"

local pending = { queued = true, waiting = true, running = true }

-- Whether a message of that state is to be delivered.
function M.is_pending(state) return pending[state] or false end

-- ---- rows ----

local FACTS = { "webhook", "url", "event", "profile", "headers_json", "secret_ref", "run_id", "step" }
local RESULT = { "attempts", "last_status", "last_error" }

local function copy(text, names, out)
  local kept = text and assert(plain.decode(text)) or {}
  for _, name in ipairs(names) do
    if kept[name] ~= json.null then out[name] = kept[name] end
  end
end

local function decoded(row)
  if not row then return nil end
  local out = {
    id = row.request_id, seq = row.seq, body = row.payload_json, state = row.state, tries = row.attempts,
    next_at = row.not_before, lease_holder = row.holder, lease_until = row.lease_until, created_at = row.created_at,
    finished_at = not pending[row.state] and row.updated_at or nil, now = row.now,
  }
  copy(row.facts_json, FACTS, out)
  copy(row.result_json, RESULT, out)
  out.attempts = out.attempts or 0
  return out
end

local function all_decoded(list)
  local out = {}
  for i, row in ipairs(list) do out[i] = decoded(row) end
  return out
end

local function facts_of(row)
  local facts = {}
  for _, name in ipairs(FACTS) do facts[name] = row[name] end
  return plain.write(facts)
end

local function key_of(run_id, step)
  return run_id and step and run_id .. " " .. step or nil
end

-- M.insert{id, webhook, url, event, body, profile, headers_json, secret_ref, run_id, step, state = "queued",
-- lease_holder} -> list of {sql, parameters}. With a lease_holder the row is leased from the beginning.
function M.insert(row)
  local state = row.lease_holder and "running" or row.state or "queued"
  return {
    { "UPDATE queues SET next_seq = next_seq + 1 WHERE name = 'messages'", expect = 1 },
    { ([[INSERT INTO queue_items (queue, seq, request_id, key, payload_json, facts_json, state, attempts, not_before,
      holder, lease_until, created_at, updated_at)
      SELECT name, next_seq - 1, $1, $2, $3, $4, $5, 0, {now}, $6, %s, {now}, {now} FROM queues
      WHERE name = 'messages']]):format(row.lease_holder and "{now} + " .. LEASE_MS or "NULL"), row.id,
      key_of(row.run_id, row.step), row.body, facts_of(row), state, row.lease_holder, expect = 1 },
  }
end

-- M.claim(db, id, holder, over) -> row, with the store's time as `now` | nil: it is over, or another one's. over: a
-- holder that is known to be gone, or is ourselves.
function M.claim(db, id, holder, over)
  return decoded(rows.take(db, QUEUE, id, holder, LEASE_MS, over))
end

-- Notes what became of a row that `holder` has. outcome: {state, attempts = made now, status, error, wait = seconds,
-- counted = whether it was a try of the schedule}. -> false: the lease was lost
function M.settle(db, id, holder, outcome)
  local row = decoded(rows.get(db, QUEUE, id))
  if not row then return false end
  return rows.settle(db, QUEUE, holder, { {
    seq = row.seq, state = outcome.state, facts = facts_of(row), wait = outcome.wait, keep = outcome.wait == nil,
    tries = outcome.counted and 1 or 0,
    result = plain.write {
      attempts = row.attempts + (outcome.attempts or 0), last_status = outcome.status,
      last_error = cleaned.text(outcome.error),
    },
  } }) == 1
end

-- ---- looking at it ----

-- Messages to be delivered, those that are due first -> list of rows without their bodies; leased: another process has
-- it. opts: due = only those that are; limit; after = a row: those behind it
function M.pending(db, opts)
  local where, params = { OPEN }, {}
  if opts.due then where[#where + 1] = "not_before <= {now}" end
  if opts.after then
    where[#where + 1] = "(not_before > $1 OR (not_before = $1 AND seq > $2))"
    params = { opts.after.next_at, opts.after.seq }
  end
  local list = assert(db:exec(([[SELECT seq, request_id, state, attempts, not_before, holder, lease_until, facts_json,
    CASE WHEN state = 'running' AND lease_until > {now} THEN 1 ELSE 0 END AS leased
    FROM queue_items WHERE queue = 'messages' AND %s ORDER BY not_before, seq LIMIT %d]]):format(
    table.concat(where, " AND "), opts.limit or 500), table.unpack(params)))
  local out = all_decoded(list)
  for i, row in ipairs(list) do out[i].leased = row.leased == 1 end
  return out
end

-- -> ms until the next one that nobody has is due (0: it is), or nil: there is none
function M.until_next(db)
  local list = assert(db:exec(([[SELECT min(CASE WHEN lease_until > not_before THEN lease_until ELSE not_before END)
    - {now} AS ms FROM queue_items WHERE queue = 'messages' AND %s]]):format(OPEN)))
  return list[1] and list[1].ms and math.max(0, list[1].ms) or nil
end

-- -> {queued = n, …}, and how many are to be delivered
function M.counts(db)
  local counts, all = {}, rows.counts(db, QUEUE)
  for _, state in ipairs(M.STATES) do counts[state] = all[state] end
  return counts, counts.queued + counts.waiting + counts.running
end

-- The messages of a run's step, in the order in which they were made.
function M.of_step(db, run_id, step)
  return all_decoded(assert(db:exec("SELECT * FROM queue_items WHERE queue = 'messages' AND key = $1 ORDER BY seq",
    key_of(run_id, step))))
end

function M.get(db, id)
  return decoded(rows.get(db, QUEUE, id))
end

-- Without the bodies, the newest first. states: list.
function M.list(db, states, limit)
  local quoted = {}
  for i, state in ipairs(states) do quoted[i] = "'" .. state .. "'" end
  return all_decoded(assert(db:exec(([[SELECT seq, request_id, state, attempts, not_before, holder, lease_until,
    created_at, updated_at, facts_json, result_json FROM queue_items WHERE queue = 'messages' AND state IN (%s)
    ORDER BY seq DESC LIMIT %d]]):format(table.concat(quoted, ", "), limit))))
end

-- ---- by hand ----

local FREE = "(state IN ('queued', 'waiting', 'dead') OR state = 'running' AND lease_until <= {now}%s)"

-- A message gets its whole schedule again, and goes to `url`. -> whether it was free to
function M.retry(db, id, url)
  local row = M.get(db, id)
  if not row then return false end
  row.url = url
  return assert(db:exec(([[UPDATE queue_items SET state = 'queued', attempts = 0, not_before = {now}, facts_json = $2,
    holder = NULL, lease_until = NULL, updated_at = {now} WHERE queue = 'messages' AND request_id = $1
    AND %s]]):format(FREE:format ""), id, facts_of(row))).changes == 1
end

-- -> whether it was to be delivered or dead, and nobody was at it. over: a holder that is gone
function M.drop(db, id, over)
  return assert(db:exec(([[UPDATE queue_items SET state = 'dropped', holder = NULL, lease_until = NULL,
    updated_at = {now} WHERE queue = 'messages' AND request_id = $1 AND %s]]):format(
    FREE:format " OR state = 'running' AND holder = $2"), id, over or "")).changes == 1
end

-- What is over and old goes.
function M.prune(db)
  assert(db:exec(([[DELETE FROM queue_items WHERE queue = 'messages' AND state IN ('done', 'dropped')
    AND updated_at < {now} - %d]]):format(KEPT_MS)))
end

return M
