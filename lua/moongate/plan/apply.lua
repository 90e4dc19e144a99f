-- apply.lua - carries out a plan: every change from the base that the plan has, one step each, and an entry for each of
-- them whatever happens. For the workflow apply.

local batch = require "moongate.batch"
local errors = require "moongate.error"
local json = require "moongate.json"
local keepers = require "moongate.keepers"
local plans = require "moongate.plan"

local M = {}

local APPLIED = { created = true, updated = true }
local CHANGED = { applied = true, reconciled = true }
local ORDER = { "applied", "already", "reconciled", "conflict", "failed", "unknown", "not_tried" }

local function reject(code, hint, fmt, ...)
  errors.raise { code = code, outcome = "not_sent", message = fmt:format(...), hint = hint }
end

-- M.check(run, document): the plan is of this format, gateway and dialect. Raises "invalid".
function M.check(run, document)
  local plan = document.plan
  if plan.format ~= plans.FORMAT then
    reject("invalid", "Make it again: moongate plan --out FILE", "the plan's format is %s, not %s",
      tostring(plan.format), plans.FORMAT)
  end
  if plan.gateway ~= run.gateway.base_url then
    reject("invalid", "Choose the plan's gateway with --region or --profile.", "the plan is for %s, and this is %s",
      tostring(plan.gateway), tostring(run.gateway.base_url))
  end
  local here, there = run.gateway:dialect(), type(plan.dialect) == "table" and plan.dialect or {}
  if here.hash ~= there.hash then
    reject("invalid", "Make it again: moongate plan --out FILE",
      "the plan was made with another dialect: %s %s, and this is %s %s", tostring(there.name),
      tostring(there.hash):sub(1, 12), here.name, here.hash:sub(1, 12))
  end
end

local function holds(plan)
  local list = {}
  for i, change in ipairs(plan.resource_changes) do
    list[i] = { change.kind, change.place, content = change.change.after }
  end
  return list
end

-- Changes in groups: what a kind comes after is in an earlier one.
local function levels(run, changes)
  local list, rank = {}, plans.rank(run)
  for _, change in ipairs(changes) do
    local n = rank(change.kind)
    local last = list[#list]
    if not last or last.rank ~= n then
      last = { rank = n }
      list[#list + 1] = last
    end
    last[#last + 1] = change
  end
  return list
end

local function note(entry, result)
  batch.note(entry, result)
  entry.status = APPLIED[result.status] and "applied" or result.status == "unchanged" and "already" or result.status
end

local function apply_one(run, document, change, entry)
  local keeper = keepers.of(change.kind)
  local function done(result) if result then note(entry, result) end end
  local now = keeper.before and run:read("look at " .. change.address, function()
    return keeper.before(run.gateway, change)
  end)
  local result = run:step("apply " .. change.address, function()
    local result = keeper.write(run.gateway, change, {
      on_conflict = "fail", stamp = { plan = document.id, change = change.n, approved_by = document.approved_by },
    }, now)
    done(result)
    if CHANGED[entry.status] then keeper.confirm(run.gateway, change, result) end
    return result
  end, {
    webhook = function(result)
      done(result)
      if CHANGED[entry.status] then return keeper.announce(change, result) end
    end,
    told = batch.told(entry),
  })
  done(result)
end

-- What became of a change that failed, in one word.
local function word_of(err)
  return err.outcome == "unknown" and "unknown" or err.code == "conflict" and "conflict" or "failed"
end

local function final_line(entry)
  local add, done = batch.line(entry, entry.address)
  add("%s", entry.because and "because " .. entry.because .. " failed")
  add("etag %s", entry.etag)
  add("audit %d", entry.audit_seq)
  return done()
end

-- M.run(run, document, {on_failure = "stop" | "continue", concurrency}) -> what the workflow returns.
function M.run(run, document, opts)
  local plan, entries, stopped = document.plan, {}, nil
  run:hold(holds(plan))
  for _, level in ipairs(levels(run, plan.resource_changes)) do
    local part = batch.map(run, level, {
      noun = "changes", concurrency = opts.concurrency, changed = CHANGED,
      name = function(entry) return entry.address end,
      entry = function(change) return { n = change.n, address = change.address, changes = json.array {} } end,
      work = function(change, entry)
        if stopped then
          entry.status, entry.because = "not_tried", stopped
          return
        end
        local ok, err = pcall(apply_one, run, document, change, entry)
        if ok then return end
        if errors.is(err) and err.code == "conflict" then err.hint = "Make a new plan: moongate plan --out FILE" end
        if opts.on_failure == "stop" then stopped = stopped or change.address end
        error(err, 0)
      end,
    })
    for _, entry in ipairs(part) do
      if entry.failure then entry.status = word_of(entry.failure) end
      entries[#entries + 1] = entry
    end
  end
  local result = batch.result(entries, {
    noun = "changes", order = ORDER, detail = function() return {} end, line = final_line,
  })
  result.plan, result.run = document.id, run.id
  run:webhook(result.exit_status == 0 and "plan_applied" or "plan_failed", {
    plan = document.id, run = run.id, gateway = plan.gateway, summary = result.summary,
  })
  return result
end

return M
