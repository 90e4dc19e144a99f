-- run_fixture.lua - for tests: runs with a journal in a store of the test's own, cut off at a batch of it and taken up
-- again.

local errors = require "moongate.error"
local fake = require "fake_gateway"
local host = require "moongate.host"
local runs = require "moongate.runs"
local scope = require "moongate.scope"
local store = require "moongate.store"
local task = require "moongate.task"
local time = require "moongate.time"
local workflow = require "moongate.workflow"

local M = {}

-- Where the tests keep their runs, which is emptied for each.
local URL = host.getenv "MOONGATE_TEST_STATE" or "sqlite::memory:"

-- A store that fails for good at the nth batch: "before" it is written, or "after". n: nil never.
function M.store()
  local db = assert(store.open(URL))
  for _, name in ipairs { "runs", "steps", "run_values", "queue_items" } do assert(db:exec("DELETE FROM " .. name)) end
  local fake_db = { real = db, kind = db.kind, url = db.url, batches = 0 }
  function fake_db.crash(n, when)
    fake_db.at, fake_db.when, fake_db.batches = n, when or "before", 0
  end
  function fake_db.batch(_, statements)
    fake_db.batches = fake_db.batches + 1
    local n, at = fake_db.batches, fake_db.at
    local written, err
    if not at or n < at or (fake_db.when == "after" and n == at) then
      written, err = db:batch(statements)
      if not written then return nil, err end
    end
    if at and n >= at then return nil, errors.new { code = "crashed", message = "the process has ended" } end
    return written
  end
  function fake_db.exec(_, ...) return db:exec(...) end
  function fake_db.now() -- a server's is not virtual
    local before, state = scope.enter(nil, false) -- and a run's own time is what was drawn before
    local now = math.floor(time.now() * 1000)
    scope.leave(before, state)
    return now
  end
  function fake_db.transaction(_, fn) return db:transaction(fn) end
  function fake_db.close() db:close() end
  return fake_db
end

-- The end of a life, unless the process has ended, or has lost its run.
local function finish(j, status, outcome)
  local ok, err = runs.finish(j, status, outcome)
  if not ok and err.code ~= "crashed" and err.code ~= "conflict" then error(err, 0) end
end

-- One life of a run. opts: id, values, session = more fields of the session; as moongate.cli.journaled does it, without
-- a command line. -> outcome | nil, error, journal
function M.live(db, definition, opts)
  opts = opts or {}
  local run = opts.id and runs.get(db.real, opts.id)
  local j
  if run then
    j = runs.take_up(db, run)
  else
    j = assert(runs.begin(db, {
      id = opts.id or runs.new_id(), workflow = definition.name, words = {}, options = {}, script = "test",
    }))
  end
  for k, v in pairs(opts.journal or {}) do j[k] = v end
  local session = { journal = j, audit = fake.audit(), project = {} }
  for k, v in pairs(opts.session or {}) do session[k] = v end
  local job = task.spawn(function()
    scope.stoppable "run"
    return j:within(function() return workflow.execute(definition, opts.values or {}, session) end)
  end)
  if opts.started then opts.started(job) end
  local outcome, err = job:join()
  if j.broken and j.broken.code == "crashed" then return nil, j.broken, j end
  local status = job:status()
  if status == "done" and not j.broken then
    finish(j, outcome.exit_status == 0 and "done" or "failed", { result = outcome })
    return outcome, nil, j
  end
  err = j.broken or err
  finish(j, status == "cancelled" and "interrupted" or #j.unknown > 0 and "stopped" or "failed",
    { error = { code = err.code, message = err.message } })
  return nil, err, j
end

-- M.define(fn [, name]) -> a workflow that is only a function
function M.define(fn, name)
  return workflow.define { name = name or "test", summary = "a test", run = fn }
end

return M
