-- worker.lua - works a queue off together with others: takes as many prompts as all workers' limits and its own allow,
-- sends one request for each, and hands in what came of them. One transaction does both, again and again, so the more
-- there is to do the more goes into each. For cli/work.lua.

local backoff = require "moongate.backoff"
local closing = require "moongate.closing"
local errors = require "moongate.error"
local holder = require "moongate.holder"
local http = require "moongate.http"
local plain = require "moongate.plain"
local sealed = require "moongate.sealed"
local send = require "moongate.router.send"
local task = require "moongate.task"
local time = require "moongate.time"
local workflow = require "moongate.workflow"

local M = {}

local SWEEP = 1           -- seconds between two looks for workers that are gone
local BACKOFF_MAX = 300   -- seconds

local Worker = {}
Worker.__index = Worker

-- ---- one prompt ----

-- What the enqueued prompt says -> what send.lua wants; or nil, err: its models are not there any more
function Worker:_item(row)
  local p = assert(plain.decode(row.payload_json))
  local fallback = table.move(p.models, 2, #p.models, 1, {})
  local chain, faults = self.router.models:chain(p.models[1], fallback)
  if not chain then
    return nil, errors.new { code = "invalid", outcome = "not_sent", message = faults[1].message }, p
  end
  return {
    id = p.id, prompt = p.prompt, chain = chain, parameters = p.parameters, filters = p.filters, labels = p.labels,
    request_id = row.request_id, line = p.line,
  }
end

local function encode_result(result, line)
  result.line = line
  if result.error then result.error = workflow.error_data(result.error) end
  return plain.write(result)
end

-- Seconds until the next try, not less than the gateway asks for.
local function pause(settings, tries, err)
  local policy = { base = settings.backoff, cap = BACKOFF_MAX, low = 0.5, high = 1 }
  return backoff.wait(policy, tries, { floor = err.retry_after })
end

function Worker:_try(row, w)
  local item, err, given = self:_item(row)
  if not item then
    return { seq = row.seq, state = "failed", result = encode_result(
      { id = given.id, status = "failed", error = err, request_id = row.request_id }, given.line) }
  end
  local facts = row.facts_json and plain.decode(row.facts_json) or { at = 1 }
  local verdict, outcome = send.once(self.router, item, w, self.deadline, facts)
  if verdict == "done" then
    return { seq = row.seq, state = outcome.error and "failed" or "done", result = encode_result(outcome, item.line) }
  end
  local settings, after = self.settings, { seq = row.seq, state = "waiting", wait = 0 }
  if verdict == "again" and outcome.code == "breaker_open" then -- nothing was sent
    after.wait = (http.breaker(self.base_url, item.chain[facts.at].family).retry_in or 0) + 0.2 * math.random()
  elseif verdict == "again" then
    after.tries = 1
    if row.attempts + 1 >= settings.attempts then
      after.state = "dead"
      after.result = encode_result(send.give_up(self.router, item, w, outcome, facts), item.line)
      return after
    end
    after.wait = pause(settings, row.attempts + 1, outcome)
  end
  after.facts = plain.write(facts)
  return after
end

-- ---- waiting for each other ----

function Worker:_wait(seconds)
  self.asleep = true
  self.bell:acquire(seconds)
  self.asleep = false
end

function Worker:_ring()
  if not self.asleep then return end
  self.asleep = false
  self.bell:release()
end

-- Waits for a prompt of the turn, does it, and again.
function Worker:_work()
  local w = send.worker(self.router)
  while true do
    self.ready:acquire()
    local row = table.remove(self.taken)
    local ok, outcome = pcall(self._try, self, row, w)
    self.active = self.active - 1
    if ok then
      self.finished[#self.finished + 1] = outcome
    else
      self.failure, self.stopping = self.failure or outcome, true
      self.finished[#self.finished + 1] = { seq = row.seq, state = "waiting", facts = row.facts_json }
    end
    self:_ring()
  end
end

-- ---- turns ----

local OVER = { done = true, failed = true, dead = true }

function Worker:_count(finished)
  for _, f in ipairs(finished) do
    if OVER[f.state] then
      self.counts[f.state] = self.counts[f.state] + 1
      self.new = self.new + 1
    else
      self.counts.again = self.counts.again + 1
    end
  end
end

function Worker:_turn()
  local finished, want = self.finished, self.stopping and 0 or self.concurrency - self.active
  self.finished = {}
  local turn = self.queue:turn(self.who, finished, want)
  if turn.gone then errors.raise { code = "not_found", message = "the queue was dropped while the worker ran" } end
  self:_count(finished)
  self.settings = turn.settings or self.settings
  for _, row in ipairs(turn.items) do
    self.taken[#self.taken + 1] = row
    self.active = self.active + 1
    self.ready:release()
  end
  return turn
end

-- Until there is nothing to do: for good (drain), or as nobody goes on any more.
function Worker:_turns()
  while true do
    local turn = self:_turn()
    self.bar.advance(self.new, ("%d in flight, %d failed"):format(self.active, self.counts.failed + self.counts.dead))
    self.new = 0
    if #self.finished == 0 then
      if self.active == 0 and (self.stopping or (self.drain and not turn.left)) then return end
      self:_wait((self.stopping or self.active >= self.concurrency) and 5 or turn.wait)
    end
  end
end

-- ---- all of it ----

-- Leases are kept while we live, and those of workers of this machine that do not are cut.
function Worker:_keep()
  local renewed = time.monotonic()
  while true do
    task.sleep(SWEEP)
    self.queue:sweep(self.settings.grace)
    if time.monotonic() - renewed >= self.settings.lease / 3 then
      renewed = time.monotonic()
      self.queue:renew(self.who, self.settings.lease)
    end
  end
end

-- M.run(run, queue, router, {concurrency, drain, base_url, deadline}) -> {done, failed, dead, again, seconds}. Raises
-- what ends it early; what it had taken is given back then.
function M.run(run, queue, router, opts)
  router = sealed.open(router)
  local settings = queue:settings()
  local self = setmetatable({
    queue = queue, router = router, who = holder.token(), concurrency = opts.concurrency, drain = opts.drain,
    base_url = opts.base_url, deadline = math.min(opts.deadline or 30, settings.lease), settings = settings,
    taken = {}, finished = {}, active = 0, new = 0, counts = { done = 0, failed = 0, dead = 0, again = 0 },
    bell = task.semaphore(1), ready = task.semaphore(opts.concurrency), bar = run:progress(nil, "prompts"),
  }, Worker)
  local began, left = time.monotonic(), false
  closing.add("giving prompts back to the queue", function()
    if not left then queue:leave(self.who, self.settings.grace) end
  end)
  router:prepare()
  self.bell:acquire()
  for _ = 1, opts.concurrency do self.ready:acquire() end
  local helpers = { task.spawn(function() self:_keep() end) }
  for i = 1, opts.concurrency do helpers[i + 1] = task.spawn(function() self:_work() end) end
  self:_turns()
  for _, helper in ipairs(helpers) do helper:cancel() end
  left = true
  self.bar.done()
  if self.failure then error(self.failure, 0) end
  self.counts.seconds = time.monotonic() - began
  return self.counts
end

return M
