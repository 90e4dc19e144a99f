-- rows.lua - the engine of all that waits in the store: taking a row, its lease, what came of it. A queue is a row of
-- `queues`, what waits in it a row of `queue_items`. Queues of prompts are made by name; `messages` (webhooks) and
-- `writes` are always there. What a kind has beyond that stands in its own file: queue.lua (prompts), kinds/message.lua
-- and kinds/write.lua, which takes no leases, since one process at a time sends writes.
--
--   queued   not tried yet                  done     it came through
--   waiting  to be tried (again), later     failed   refused for good: its result says why
--   running  leased by a holder             dead     discarded after its last try: retry sends it again
--                                           dropped  discarded by hand, or replaced by a newer one
--
-- A row that is worked on is leased, so that no two processes do it at the same time; what a holder writes counts only
-- while the lease is its own. Times are the store's, in ms.

local cleaned = require "moongate.cleaned"

local M = {}

M.STATES = { "queued", "waiting", "running", "done", "failed", "dead", "dropped" }

M.PIECE = 150 -- rows of one statement

-- rows.places(n, width, first [, shape]) -> "($1, $2), ($3, $4)": n rows of so many values, the first number being
-- `first`.
function M.places(n, width, first, shape)
  local rows, at = {}, first
  for i = 1, n do
    local row = {}
    for k = 1, width do row[k], at = "$" .. at, at + 1 end
    rows[i] = shape and shape:format(table.unpack(row)) or "(" .. table.concat(row, ", ") .. ")"
  end
  return table.concat(rows, ", ")
end

-- ---- taking ----

-- MATERIALIZED: PostgreSQL would look for the first n again for each row.
local CLAIM = [[WITH found (picked) AS MATERIALIZED (SELECT seq FROM queue_items WHERE queue = $1 AND state = '%s' %s
    ORDER BY not_before, seq LIMIT %d {skip_locked})
  UPDATE queue_items SET state = 'running', holder = $2, lease_until = {now} + %d, updated_at = {now}
  FROM found WHERE queue = $1 AND seq = picked RETURNING seq, payload_json, request_id, attempts, facts_json]]

-- rows.claim(tx, queue, who, n, lease ms, has_due) -> at most n rows, those that are due again first.
function M.claim(tx, queue, who, n, lease, has_due)
  local out = {}
  local function some(state, condition)
    if #out >= n then return end
    local rows = assert(tx:exec(CLAIM:format(state, condition, n - #out, lease), queue, who))
    for _, row in ipairs(rows) do out[#out + 1] = row end
  end
  if has_due then some("waiting", "AND not_before <= {now}") end
  some("queued", "")
  return out
end

-- rows.take(db, queue, id, who, lease ms, over) -> the row, with the store's time as `now`; nil: it is not free. over:
-- a holder that is known to be gone, or is ourselves.
function M.take(db, queue, id, who, lease, over)
  return assert(db:exec(([[UPDATE queue_items SET state = 'running', holder = $3, lease_until = {now} + %d
    WHERE queue = $1 AND request_id = $2 AND (state IN ('queued', 'waiting')
      OR state = 'running' AND (lease_until <= {now} OR holder = $4)) RETURNING *, {now} AS now]]):format(lease), queue,
    id, who, over or ""))[1]
end

-- rows.take_back(tx, queue, attempts): leases that have run out: another one is to try, but not for ever.
function M.take_back(tx, queue, attempts)
  assert(tx:exec([[UPDATE queue_items SET state = CASE WHEN attempts + 1 >= $2 THEN 'dead' ELSE 'waiting' END,
    attempts = attempts + 1, not_before = {now}, holder = NULL, lease_until = NULL, updated_at = {now}
    WHERE queue = $1 AND state = 'running' AND lease_until <= {now}]], queue, attempts))
end

-- rows.renew(db, queue, who, lease ms): the holder's leases last from now on again.
function M.renew(db, queue, who, lease)
  assert(db:exec(([[UPDATE queue_items SET lease_until = {now} + %d WHERE queue = $1 AND state = 'running'
    AND holder = $2]]):format(lease), queue, who))
end

-- rows.leave(db, queue, who, grace ms): a holder is gone; what it had sent may still be under way.
function M.leave(db, queue, who, grace)
  assert(db:exec(([[UPDATE queue_items SET lease_until = {now} + %d WHERE queue = $1 AND state = 'running'
    AND holder = $2 AND lease_until > {now} + %d]]):format(grace, grace), queue, who))
end

-- ---- what came of it ----

local function settle_piece(tx, queue, who, finished)
  local values = {}
  for i, f in ipairs(finished) do
    local at = (i - 1) * 6
    values[at + 1], values[at + 2], values[at + 3] = f.seq, f.state, f.result and cleaned.json(f.result) or ""
    values[at + 4] = f.facts and cleaned.json(f.facts) or ""
    values[at + 5], values[at + 6] = f.keep and -1 or math.ceil((f.wait or 0) * 1000), f.tries or 0
  end
  return assert(tx:exec(([[UPDATE queue_items SET state = f.column2, result_json = nullif(f.column3, ''),
    facts_json = nullif(f.column4, ''),
    not_before = CASE WHEN CAST(f.column5 AS bigint) < 0 THEN not_before ELSE {now} + CAST(f.column5 AS bigint) END,
    attempts = attempts + CAST(f.column6 AS bigint), holder = NULL, lease_until = NULL, updated_at = {now}
    FROM (VALUES %s) AS f WHERE queue = $1 AND seq = CAST(f.column1 AS bigint) AND holder = $2
    AND queue_items.state = 'running']]):format(M.places(#finished, 6, 3)), queue, who, table.unpack(values))).changes
end

-- rows.settle(tx, queue, who, finished) -> how many of them were this holder's still. finished: list of {seq, state,
-- result = JSON text | nil, facts = JSON text | nil, wait = seconds | nil, keep = the time of the next try stays,
-- tries = to be added}
function M.settle(tx, queue, who, finished)
  local kept = 0
  for first = 1, #finished, M.PIECE do
    local piece = table.move(finished, first, math.min(first + M.PIECE - 1, #finished), 1, {})
    kept = kept + settle_piece(tx, queue, who, piece)
  end
  return kept
end

-- ---- looking at it ----

-- rows.get(db, queue, id) -> row | nil
function M.get(db, queue, id)
  return assert(db:exec("SELECT * FROM queue_items WHERE queue = $1 AND request_id = $2", queue, id))[1]
end

-- rows.counts(db, queue) -> {queued = n, …}
function M.counts(db, queue)
  local counts = {}
  for _, state in ipairs(M.STATES) do counts[state] = 0 end
  for _, row in ipairs(assert(db:exec(
    "SELECT state, count(*) AS n FROM queue_items WHERE queue = $1 GROUP BY state", queue))) do
    counts[row.state] = row.n
  end
  return counts
end

return M
