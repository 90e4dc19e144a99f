-- queue.lua - the queues of the store: prompts, webhook messages and writes that wait, see queue/rows.lua. Here is what
-- queues of prompts have beyond that: many machines work one off, and how many requests may be under way, and how many
-- may begin in a second, is counted for all of them under a lock on the queue's row. For the command line,
-- `route-prompts --enqueue` and queue/worker.lua.
--
-- A prompt has one request id for all its tries, so the gateway sees one effect however often workers come and go.
-- What a worker writes counts only while the lease is its own. A lease is renewed while the worker lives; that of a
-- dead worker (its machine can tell) is cut to the grace that what it had sent may need to end.

local errors = require "moongate.error"
local holder = require "moongate.holder"
local json = require "moongate.json"
local rows = require "moongate.queue.rows"

local M = {}

M.STATES = rows.STATES

-- Of a queue, what they are when nothing else is said. rate: requests begun in a second, 0: no limit. attempts: tries
-- of a prompt until it is dead. backoff, lease, grace: seconds.
M.SETTINGS = { concurrency = 8, rate = 0, attempts = 10, backoff = 1, lease = 30, grace = 1 }

local IDLE, NOW = 0.5, 0.04 -- seconds until a worker that found nothing, or no place, looks again

local Queue = {}
Queue.__index = Queue

-- ---- queues ----

local function settings_of(text)
  local out = {}
  local kept = text and json.decode(text) or {}
  for name, value in pairs(M.SETTINGS) do out[name] = kept[name] or value end
  out.gateway = kept.gateway
  return out
end

-- A queue's prompts are for one gateway: a worker of another one would send them to the wrong place.
local function check_gateway(name, settings, gateway)
  if not settings.gateway or not gateway or settings.gateway == gateway then return end
  errors.raise {
    code = "conflict", outcome = "not_sent",
    message = ("queue '%s' is for %s, not for %s"):format(name, settings.gateway, gateway),
    hint = "give the --region or --profile that it was made with, or another --queue-name",
  }
end

local function handle(db, name) return setmetatable({ db = db, name = name }, Queue) end

local HOLDS = { message = "webhook messages", write = "writes", prompt = "prompts" }

local function check_kind(name, kind)
  if kind == "prompt" then return end
  errors.raise {
    code = "conflict", outcome = "not_sent", message = ("queue '%s' is for %s, not prompts"):format(name, HOLDS[kind]),
    hint = ("Use moongate queue list --kind %s."):format(kind),
  }
end

-- queue.exists(db, name) -> whether there is a queue of prompts of that name
function M.exists(db, name)
  return assert(db:exec("SELECT name FROM queues WHERE name = $1 AND kind = 'prompt'", name))[1] ~= nil
end

-- queue.open(db, name) -> queue of prompts. Raises when it does not exist.
function M.open(db, name)
  local row = assert(db:exec("SELECT kind FROM queues WHERE name = $1", name))[1]
  if row then
    check_kind(name, row.kind)
    return handle(db, name)
  end
  errors.raise {
    code = "not_found", message = ("queue '%s' does not exist in this store"):format(name),
    hint = "moongate queue list --kind prompt lists them; route-prompts --enqueue --queue-name makes one",
  }
end

-- queue.create(db, name, {concurrency =, rate =, …: what is not nil is set, gateway = base URL: another one is
-- refused}) -> queue, made if there is none. Raises.
function M.create(db, name, settings)
  assert(db:transaction(function(tx)
    assert(tx:exec([[INSERT INTO queues (name, settings_json, state, created_at) VALUES ($1, '{}', 'open', {now})
      ON CONFLICT (name) DO NOTHING]], name))
    local row = assert(tx:exec("SELECT settings_json, kind FROM queues WHERE name = $1 {lock}", name))[1]
    check_kind(name, row.kind)
    local all = settings_of(row.settings_json)
    check_gateway(name, all, settings and settings.gateway)
    for key, value in pairs(settings or {}) do all[key] = value end
    assert(tx:exec("UPDATE queues SET settings_json = $1 WHERE name = $2", assert(json.encode(all)), name))
    return true
  end))
  return handle(db, name)
end

-- queue.gateway_of(run) -> what a queue knows the run's gateway by
function M.gateway_of(run)
  return run.simulated and "sim" or run.gateway.base_url
end

-- queue.list(db) -> names, sorted
function M.list(db)
  local out = {}
  local found = assert(db:exec "SELECT name FROM queues WHERE kind = 'prompt' ORDER BY name")
  for i, row in ipairs(found) do out[i] = row.name end
  return out
end

function Queue:settings()
  local row = assert(self.db:exec("SELECT settings_json FROM queues WHERE name = $1", self.name))[1]
  return settings_of(row and row.settings_json)
end

-- queue:check_gateway(base URL): raises when the queue is for another one.
function Queue:check_gateway(gateway)
  check_gateway(self.name, self:settings(), gateway)
end

-- ---- putting in ----

local function existing(tx, name, items)
  local ids, marks = {}, {}
  for i, item in ipairs(items) do ids[i], marks[i] = item.request_id, "$" .. i + 1 end
  local found = {}
  for _, row in ipairs(assert(tx:exec(("SELECT request_id, payload_json FROM queue_items WHERE queue = $1 " ..
    "AND request_id IN (%s)"):format(table.concat(marks, ", ")), name, table.unpack(ids)))) do
    found[row.request_id] = row.payload_json
  end
  return found
end

local function check_same(item, payload)
  if item.payload == payload then return end
  errors.raise {
    code = "conflict", outcome = "not_sent",
    message = "this run has put another prompt into the queue under the same line number",
    details = { { field = "line", message = ("is not what it was: %s"):format(item.payload:sub(1, 200)) } },
    hint = "Resume with the original file, or drop --run-id to start a new run.",
  }
end

local function insert(tx, name, items, seq)
  local values = {}
  for i, item in ipairs(items) do
    local at = (i - 1) * 5
    values[at + 1], values[at + 2], values[at + 3] = seq + i - 1, item.request_id, item.payload
    values[at + 4], values[at + 5] = item.result and "failed" or "queued", item.result or ""
  end
  assert(tx:exec([[INSERT INTO queue_items (queue, seq, request_id, payload_json, state, result_json, attempts,
    not_before, created_at, updated_at) VALUES ]]
    .. rows.places(#items, 5, 2, "($1, %s, %s, %s, %s, nullif(%s, ''), 0, 0, {now}, {now})"),
    name, table.unpack(values)))
end

-- Those that are not there yet.
local function new_ones(tx, name, items)
  local there, out = existing(tx, name, items), {}
  for _, item in ipairs(items) do
    if there[item.request_id] then check_same(item, there[item.request_id]) else out[#out + 1] = item end
  end
  return out
end

-- queue:add(items) -> how many are new. item: {request_id, payload = JSON text [, result = JSON text: it has one
-- already]}. What is there under its request id is not added again. One transaction: not more than some hundreds.
function Queue:add(items)
  return assert(self.db:transaction(function(tx)
    local row = assert(tx:exec("SELECT next_seq FROM queues WHERE name = $1 {lock}", self.name))[1]
    if not row then M.open(self.db, self.name) end
    local seq = row.next_seq
    for first = 1, #items, rows.PIECE do
      local new = new_ones(tx, self.name, table.move(items, first, math.min(first + rows.PIECE - 1, #items), 1, {}))
      if #new > 0 then insert(tx, self.name, new, seq) end
      seq = seq + #new
    end
    assert(tx:exec("UPDATE queues SET next_seq = $2 WHERE name = $1", self.name, seq))
    return seq - row.next_seq
  end))
end

-- ---- a worker's turn ----

-- How many may begin now by the rate. A tenth of it may be saved up, so that workers which come by some times a second
-- can use all of it; what comes in is that much less, so that no second sees more.
local function allowance(row, rate, now)
  local most = math.max(1, rate // 10)
  local per_ms = (rate - (most - 1)) / 1000
  local tokens = row.tokens or 1
  if row.tokens_at then tokens = math.min(most, tokens + math.max(0, now - row.tokens_at) * per_ms) end
  return tokens, per_ms
end

local LOOK = [[SELECT {now} AS now,
  (SELECT count(*) FROM queue_items WHERE queue = $1 AND state = 'running') AS running,
  (SELECT min(lease_until) FROM queue_items WHERE queue = $1 AND state = 'running') AS lease_until,
  (SELECT min(not_before) FROM queue_items WHERE queue = $1 AND state = 'waiting') AS waiting,
  (SELECT min(not_before) FROM queue_items WHERE queue = $1 AND state = 'queued') AS queued]]

local function look(tx, name) return assert(tx:exec(LOOK, name))[1] end

-- queue:turn(who, finished, want) -> {items = {seq, payload_json, request_id, attempts, facts_json}, kept = how many of
-- the finished were ours still, left = whether anything is not finished, wait = seconds until there may be something
-- for us}. One transaction: writes what is finished, gives leases that ran out back, takes at most `want` prompts as
-- far as the limits of all workers allow.
function Queue:turn(who, finished, want)
  return assert(self.db:transaction(function(tx)
    local name = self.name
    local row = assert(tx:exec("SELECT settings_json, state, tokens, tokens_at FROM queues WHERE name = $1 {lock}",
      name))[1]
    if not row then return { items = {}, kept = 0, left = false, gone = true } end
    local s = settings_of(row.settings_json)
    local kept = rows.settle(tx, name, who, finished)
    local seen = look(tx, name)
    if seen.lease_until and seen.lease_until <= seen.now then
      rows.take_back(tx, name, s.attempts)
      seen = look(tx, name)
    end
    local n, tokens, per_ms = math.min(want, s.concurrency - seen.running), nil, nil
    if s.rate > 0 then
      tokens, per_ms = allowance(row, s.rate, seen.now)
      n = math.min(n, math.floor(tokens))
    end
    local due = seen.waiting and seen.waiting <= seen.now
    local some = n > 0 and (due or seen.queued)
    local items = some and rows.claim(tx, name, who, n, math.ceil(s.lease * 1000), due) or {}
    if tokens then
      assert(tx:exec("UPDATE queues SET tokens = $2, tokens_at = $3 WHERE name = $1", name, tokens - #items, seen.now))
    end
    local wait = IDLE
    if tokens and tokens - #items < 1 then
      wait = math.max(NOW, (1 - (tokens - #items)) / per_ms / 1000)
    elseif seen.queued or due then
      wait = NOW -- the others have all places: one may come free any time
    elseif seen.waiting then
      wait = math.min(wait, math.max(0, seen.waiting - seen.now) / 1000)
    end
    return {
      items = items, kept = kept, wait = wait, settings = s,
      left = seen.running > 0 or seen.waiting ~= nil or seen.queued ~= nil,
    }
  end))
end

-- queue:renew(who, seconds): the worker's leases last from now on again.
function Queue:renew(who, lease)
  rows.renew(self.db, self.name, who, math.ceil(lease * 1000))
end

-- queue:leave(who, grace): a worker is gone; what it had sent may still be under way.
function Queue:leave(who, grace)
  rows.leave(self.db, self.name, who, math.ceil(grace * 1000))
end

-- queue:sweep(grace): does so for workers of this machine that are no more.
function Queue:sweep(grace)
  for _, row in ipairs(assert(self.db:exec([[SELECT DISTINCT holder FROM queue_items WHERE queue = $1
    AND state = 'running']], self.name))) do
    if holder.gone(row.holder) then self:leave(row.holder, grace) end
  end
end

-- ---- looking at it ----

-- -> {queued = n, …}, and the workers that have something: list of {process, running}
function Queue:status()
  local counts, workers = rows.counts(self.db, self.name), json.array {}
  for i, row in ipairs(assert(self.db:exec([[SELECT holder, count(*) AS n FROM queue_items WHERE queue = $1
    AND state = 'running' GROUP BY holder ORDER BY holder]], self.name))) do
    local process = json.decode(row.holder) or {}
    workers[i] = { host = process.host, pid = process.pid, running = row.n }
  end
  return counts, workers
end

-- queue:page(after, limit) -> rows {seq, state, attempts, payload_json, result_json}, in the order of the input,
-- behind the one numbered `after`
function Queue:page(after, limit)
  return assert(self.db:exec(([[SELECT seq, state, attempts, request_id, result_json,
    CASE WHEN result_json IS NULL THEN payload_json END AS payload_json
    FROM queue_items WHERE queue = $1 AND seq > $2 ORDER BY seq LIMIT %d]]):format(limit), self.name, after))
end

-- queue:retry{failed = also those that were refused} -> how many begin anew
function Queue:retry(opts)
  return assert(self.db:exec(([[UPDATE queue_items SET state = 'queued', attempts = 0, not_before = 0,
    facts_json = NULL, result_json = NULL, updated_at = {now} WHERE queue = $1 AND (state = 'dead'%s)]]):format(
    opts.failed and [[ OR (state = 'failed' AND payload_json LIKE '%"prompt":%')]] or ""), self.name)).changes
end

-- queue:drop("dead" | "finished" | "all") -> how many prompts are gone. "all": the queue, too.
function Queue:drop(what)
  local condition = what == "dead" and "AND state = 'dead'"
    or what == "finished" and "AND state IN ('done', 'failed', 'dead')" or ""
  local statements = { { "DELETE FROM queue_items WHERE queue = $1 " .. condition, self.name } }
  if what == "all" then statements[2] = { "DELETE FROM queues WHERE name = $1", self.name } end
  return assert(self.db:batch(statements))[1].changes
end

return M
