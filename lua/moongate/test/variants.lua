-- variants.lua - a test that has passed is run again under conditions that must change nothing: its runs cut off at
-- every batch of their journal, before and after it is written, and taken up again (--crash-everywhere); the gateway
-- being sent every write twice (--repeat-writes). What each run comes to and what the gateway then holds is held
-- against the first time.
--
-- For suite.lua, which calls M.around, and test/sim.lua, whose runs ask what is to happen to them.
local errors = require "moongate.error"
local journal = require "moongate.journal"
local json = require "moongate.json"
local show = require "moongate.test.show"

local M = {}

local wanted = {} -- crash, repeat_writes
local current     -- what happens to the test that runs; nil: outside of one

-- M.begin{crash = , repeat_writes = }
function M.begin(opts) wanted, current = opts, nil end

function M.wanted() return wanted.crash or wanted.repeat_writes or false end

-- ---- a store that fails for good ----

local gone = { code = "closed", message = "the process has ended" }

local function dead() return current and current.dead end

-- M.store(db, session) -> the same, counted; at the batch where the test's run is to be cut off it works no more. The
-- store of a session that several tests share is left alone.
function M.store(db, session)
  local cut = setmetatable({ real = db }, { __index = function(_, name)
    local value = db[name]
    if type(value) ~= "function" then return value end
    return function(_, ...)
      if dead() and session.variant == current then return nil, errors.new(gone) end
      return value(db, ...)
    end
  end })
  function cut.batch(_, statements)
    local variant = current
    if not variant or variant ~= session.variant or variant.beginning then return db:batch(statements) end
    if variant.dead then return nil, errors.new(gone) end
    variant.batches = variant.batches + 1
    local here = variant.batches == variant.at
    local rec = here and select(2, journal.current())
    if rec then variant.place = rec:what() end
    if here and variant.when == "before" then
      variant.dead = true
      return nil, errors.new(gone)
    end
    local rows, err = db:batch(statements)
    if not here then return rows, err end
    variant.dead = true
    return nil, errors.new(gone)
  end
  return cut
end

-- M.beginning(fn, …) -> what it returns. A run is not cut off before it has begun.
function M.beginning(fn, ...)
  if not current then return fn(...) end
  current.beginning = true
  local results = table.pack(pcall(fn, ...))
  current.beginning = nil
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

-- Whether the run that has just ended was cut off. From here on the store works again.
function M.was_cut()
  if not dead() then return false end
  current.dead, current.cut, current.at = false, true, nil
  return true
end

-- Whether the gateway is to be sent every write twice.
function M.repeats() return current ~= nil and current.repeats or false end

-- ---- what must be the same ----

-- Values that differ from run to run: ids, times, how often something was tried.
local VARY = {}
for name in ([[id etag url seed ingestion oauth prompts metrics attempts seconds elapsed_ms latency_ms job_duration_ms
  correlation_id correlationId audit_id audit_seq run_id job_id jobId model_id modelId sync_event_id syncEventId
  last_update updatedAt updated_at createdAt created_at registeredAt started_at finished_at webhooks validation health
  endpointUrl endpoint_url payload_hash payloadHash chat]]):gmatch "%S+" do
  VARY[name] = true
end

-- A write whose answer was lost counts as what it was meant to be.
local DONE = {}
for name in ("created updated promoted rolled_back rollback_ended registered deleted reconciled"):gmatch "%S+" do
  DONE[name] = true
end

local UUID = "^%x%x%x%x%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$"

local function steady_text(s)
  if s:find(UUID) then return "<id>" end
  return (s:gsub("%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d[%d.]*Z?", "<time>"):gsub(UUID:sub(2, -2), "<id>")
    :gsub("127%.0%.0%.1:%d+", "127.0.0.1"):gsub("/files/%d+/", "/files/"))
end

local function all_ids(t)
  for k in pairs(t) do
    if type(k) ~= "string" or not k:find(UUID) then return false end
  end
  return next(t) ~= nil
end

local function steady(value)
  if type(value) == "string" then return steady_text(value) end
  if type(value) ~= "table" or value == json.null then return value end
  local out = {}
  if all_ids(value) then -- what is known by ids that vary is a set
    for _, v in pairs(value) do out[#out + 1] = show.value(steady(v)) end
    table.sort(out)
    return out
  end
  local sum = 0
  for k, v in pairs(value) do
    if math.type(v) and DONE[k] then
      sum = sum + v
    elseif not VARY[k] then
      out[k] = steady(v)
    end
  end
  if sum > 0 then out.changed = sum end
  if DONE[out.status or ""] then out.status = "changed" end
  return out
end

-- Receivers of webhooks: how many messages of each type, however often each came.
local function told(receivers)
  local out = {}
  for name, receiver in pairs(receivers or {}) do
    local types, seen = {}, {}
    for _, delivery in ipairs(receiver.deliveries or {}) do
      if not seen[delivery.id] then types[#types + 1], seen[delivery.id] = tostring(delivery.type), true end
    end
    table.sort(types)
    out[name] = types
  end
  return out
end

local function state_of(session)
  local state = session:state()
  local out = steady(state)
  local jobs = 0
  for _ in pairs(state.model_jobs) do jobs = jobs + 1 end
  out.webhooks, out.receiver, out.model_jobs = nil, told(state.receiver), jobs
  return out
end

-- What is kept of an outcome to hold another against.
local function summary(session, outcome)
  return {
    exit_status = outcome.exit_status, error = outcome.error and outcome.error.code or nil, data = steady(outcome.data),
    gateway = state_of(session),
  }
end

-- M.ended(session, outcome, left) -> outcome: as the first time, when it is the same but for what always differs. left:
-- lines, records of an earlier life that the run did not come to. Raises what differs.
function M.ended(session, outcome, left)
  if not current then return outcome end
  local n = #current.outcomes + 1
  local now = summary(session, outcome)
  current.outcomes[n] = { summary = now, outcome = outcome }
  local first = current.first and current.first[n]
  if not first then return outcome end
  local lines = show.diff(now, first.summary)
  for _, line in ipairs(left or {}) do lines[#lines + 1] = "not done again: " .. line end
  if #lines == 0 then return first.outcome end
  local failure = outcome.error
  errors.raise {
    code = "script", assertion = true, diff = lines, where = failure and failure.where or nil,
    message = failure and tostring(failure) or "the run does not come to the same",
  }
end

-- ---- a test ----

local function begin(variant)
  variant.outcomes, variant.batches = {}, 0
  current = variant
end

local function describe(variant, batches)
  if variant.repeats then return "every write was sent twice" end
  return ("interrupted %s batch %d of %d%s, then resumed"):format(variant.when, variant.at_batch, batches,
    variant.place and (" (%s)"):format(variant.place) or "")
end

-- M.around(attempt) -> nil or what the test failed with, how often it was run again. attempt(): runs the test once ->
-- nil or what it failed with.
function M.around(attempt)
  if not M.wanted() then return attempt(), 0 end
  local plain = {}
  begin(plain)
  local err = attempt()
  current = nil
  if err or #plain.outcomes == 0 then return err, 0 end
  local list = {}
  for n = 1, wanted.crash and plain.batches or 0 do
    for _, when in ipairs { "before", "after" } do
      list[#list + 1] = { at = n, at_batch = n, when = when, first = plain.outcomes }
    end
  end
  if wanted.repeat_writes then list[#list + 1] = { repeats = true, first = plain.outcomes } end
  for i, variant in ipairs(list) do
    begin(variant)
    err = attempt()
    current = nil
    if err then
      err.message = ("%s: %s"):format(describe(variant, plain.batches), err.message)
      return err, i
    end
  end
  return nil, #list
end

-- Whether runs of a session that was started now belong to the test that runs; those of one that several tests share
-- can't be repeated.
function M.mine() return current end

return M
