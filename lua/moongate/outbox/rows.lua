-- rows.lua - the outbox's SQL: one row a message and webhook. A row that is being delivered is leased, so that no two
-- processes send it at the same time; what a lease's holder writes counts only while the lease is its own. For
-- outbox.lua and what it stands on.
--
--   pending    to be delivered, not before next_at; tries: how many there were
--   delivered, dead (given up: moongate outbox retry), dropped (by hand)

local cleaned = require "moongate.cleaned"

local M = {}

M.STATES = { "pending", "dead", "delivered", "dropped" }

-- Longer than one delivery can take: the run's attempts have 20 seconds, a later one 10.
local LEASE_MS = 60000
M.LEASE = LEASE_MS / 1000

local KEPT_MS = 30 * 86400 * 1000 -- delivered and dropped ones are kept for so long

local COLUMNS = {
  "id", "webhook", "url", "event", "body", "profile", "headers_json", "secret_ref", "run_id", "step", "state",
  "last_error", "lease_holder",
}

-- row, a table of the columns above -> {sql, parameters}. With a lease_holder the row is leased from the beginning.
function M.insert(row)
  local names, values, statement = {}, {}, { "" }
  for _, name in ipairs(COLUMNS) do
    if row[name] ~= nil then
      statement[#statement + 1] = row[name]
      names[#names + 1], values[#values + 1] = name, "$" .. #statement - 1
    end
  end
  statement[1] = ([[INSERT INTO outbox (%s, attempts, tries, next_at, created_at, lease_until, finished_at)
    VALUES (%s, 0, 0, {now}, {now}, %s, %s)]]):format(table.concat(names, ", "), table.concat(values, ", "),
    row.lease_holder and "{now} + " .. LEASE_MS or "NULL", row.state == "dead" and "{now}" or "NULL")
  return statement
end

-- Takes the row for `holder`, when it is free: pending, and leased by nobody, by somebody whose time is over, or by
-- `over`, who is known to be gone (or is ourselves). -> row, with the store's time as `now` | nil: not free
function M.claim(db, id, holder, over)
  local rows = assert(db:exec(([[UPDATE outbox SET lease_holder = $1, lease_until = {now} + %d
    WHERE id = $2 AND state = 'pending' AND (lease_holder IS NULL OR lease_until <= {now} OR lease_holder = $3)
    RETURNING *, {now} AS now]]):format(LEASE_MS), holder, id, over or ""))
  return rows[1]
end

-- Notes what became of a row that `holder` has. outcome: {state, attempts = made now, status, error, wait = seconds,
-- counted = whether it was a try of the schedule}. -> false: the lease was lost
function M.settle(db, id, holder, outcome)
  local pending = outcome.state == "pending"
  local rows = assert(db:exec(([[UPDATE outbox SET state = $1, attempts = attempts + $2, tries = tries + $3,
    last_status = $4, last_error = $5, lease_holder = NULL, lease_until = NULL, next_at = %s, finished_at = %s
    WHERE id = $6 AND lease_holder = $7]]):format(
    pending and outcome.wait and ("{now} + %d"):format(math.ceil(outcome.wait * 1000)) or "next_at",
    pending and "NULL" or "{now}"),
    outcome.state, outcome.attempts or 0, outcome.counted and 1 or 0, outcome.status, cleaned.text(outcome.error), id,
    holder))
  return rows.changes == 1
end

-- Gives a row back untouched.
function M.release(db, id, holder)
  assert(db:exec([[UPDATE outbox SET lease_holder = NULL, lease_until = NULL WHERE id = $1 AND lease_holder = $2]], id,
    holder))
end

-- Pending rows, those that are due first -> list of {id, next_at, lease_holder, lease_until, ...}.
-- opts: due = only those that are; limit; known = function(first) -> SQL, parameters: a further condition;
-- after = {next_at, id}: those behind it
function M.pending(db, opts)
  local where, params = { "state = 'pending'" }, {}
  if opts.due then where[#where + 1] = "next_at <= {now}" end
  if opts.after then
    where[#where + 1] = "(next_at > $1 OR (next_at = $1 AND id > $2))"
    params = { opts.after.next_at, opts.after.id }
  end
  if opts.known then
    local condition, more = opts.known(#params + 1)
    where[#where + 1] = condition
    table.move(more, 1, #more, #params + 1, params)
  end
  return assert(db:exec(([[SELECT id, next_at, lease_holder, lease_until,
    CASE WHEN lease_until > {now} THEN 1 ELSE 0 END AS leased
    FROM outbox WHERE %s ORDER BY next_at, id LIMIT %d]]):format(table.concat(where, " AND "), opts.limit or 500),
    table.unpack(params)))
end

-- -> ms until the next one that nobody has is due (0: it is), or nil: there is none
function M.until_next(db)
  local rows = assert(db:exec [[SELECT min(CASE WHEN lease_until > next_at THEN lease_until ELSE next_at END) - {now}
    AS ms FROM outbox WHERE state = 'pending']])
  return rows[1] and rows[1].ms and math.max(0, rows[1].ms) or nil
end

-- -> {pending = n, dead = n, …}
function M.counts(db)
  local counts = {}
  for _, state in ipairs(M.STATES) do counts[state] = 0 end
  for _, row in ipairs(assert(db:exec "SELECT state, count(*) AS n FROM outbox GROUP BY state")) do
    counts[row.state] = row.n
  end
  return counts
end

-- The messages of a run's step, or those of ids, in the order in which they were made.
function M.of_step(db, run_id, step)
  return assert(db:exec("SELECT * FROM outbox WHERE run_id = $1 AND step = $2 ORDER BY created_at, id", run_id, step))
end

function M.get(db, id)
  return assert(db:exec("SELECT * FROM outbox WHERE id = $1", id))[1]
end

-- Without the bodies. states: list.
function M.list(db, states, limit)
  local quoted = {}
  for i, state in ipairs(states) do quoted[i] = "'" .. state .. "'" end
  return assert(db:exec(([[SELECT id, webhook, url, event, run_id, step, state, attempts, tries, next_at, last_status,
    last_error, created_at, finished_at, lease_holder FROM outbox WHERE state IN (%s) ORDER BY created_at DESC, id DESC
    LIMIT %d]]):format(table.concat(quoted, ", "), limit)))
end

-- A message gets its whole schedule again, and goes to `url`. -> whether it was pending or dead
function M.retry(db, id, url)
  local rows = assert(db:exec([[UPDATE outbox SET state = 'pending', tries = 0, next_at = {now}, url = $1,
    finished_at = NULL WHERE id = $2 AND state IN ('pending', 'dead')
    AND (lease_holder IS NULL OR lease_until <= {now})]], url, id))
  return rows.changes == 1
end

-- -> whether it was pending or dead, and nobody was at it
function M.drop(db, id, over)
  local rows = assert(db:exec([[UPDATE outbox SET state = 'dropped', finished_at = {now}, lease_holder = NULL,
    lease_until = NULL WHERE id = $1 AND state IN ('pending', 'dead')
    AND (lease_holder IS NULL OR lease_until <= {now} OR lease_holder = $2)]], id, over or ""))
  return rows.changes == 1
end

-- What is over and old goes.
function M.prune(db)
  assert(db:exec(("DELETE FROM outbox WHERE state IN ('delivered', 'dropped') AND finished_at < {now} - %d")
    :format(KEPT_MS)))
end

return M
