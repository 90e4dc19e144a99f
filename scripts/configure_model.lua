-- configure-model: bring the configurations of models to what their files say.
--
--   load every file; on an error in one, all errors of all are reported and nothing is sent
--   hold them all, so that no other run is half-way through them
--   read the capabilities of every model; a configuration that its model can't do is a fault of its file
--   for each configuration, several at a time: read what is live, compare, PUT with If-Match when something differs,
--   read it back, audit, tell the governance webhook
--
-- With --check it ends at the comparison. One that fails does not stop the others; the exit status is that of the first
-- failed one, in the order given.

local batch = require "moongate.batch"
local errors = require "moongate.error"
local json = require "moongate.json"
local model = require "moongate.model"
local task = require "moongate.task"
local time = require "moongate.time"
local uuid = require "moongate.uuid"
local workflow = require "moongate.workflow"

local configuration = model.configuration
local CHANGED = batch.CHANGED

-- With one decimal.
local function milliseconds(seconds)
  return math.floor(seconds * 10000 + 0.5) / 10
end

-- ---- capabilities ----

-- The capabilities of an item's model: what the user gives, else what the gateway says. A gateway that says nothing of
-- models is accepted: it checks the configuration itself.
local function look_up(run, item, given)
  if given then
    item.capabilities = given(item.config.model_id) or {}
    return
  end
  local ok, found, untold = pcall(configuration.capabilities, run.gateway, item.config.model_id)
  if not ok and not errors.is(found) then error(found, 0) end
  if untold then
    run.log.warn("%s: the gateway does not report the capabilities of model %s: they are not checked (--capabilities)",
      item.name, item.config.model_id)
    item.capabilities = {}
  elseif ok then
    item.capabilities = found or false
  else
    if found.status == 403 then
      found.hint = (found.hint and found.hint .. " " or "") .. "Or give the capabilities: --capabilities FILE."
    end
    item.failure = found
  end
end

-- Reads them for every item and checks all; raises all faults. What could not be read is that item's own failure.
local function survey(run, items, args)
  local progress = run:progress(#items, "models")
  local given = args.capabilities and configuration.load_capabilities(args.capabilities)
  assert(task.map(items, args.concurrency, function(item)
    look_up(run, item, given)
    progress.advance(1, item.name .. ": capabilities")
    return true
  end))
  progress.done()
  configuration.check_capabilities(items)
end

-- ---- one configuration ----

-- What reading it back says, as plain data: {etag}, or an error's fields.
local function confirm(run, config, entry, result)
  local ok, now = pcall(batch.confirm, run, entry, {
    action = "configuration_confirm", fields = { audit_id = result.audit_id, model_id = entry.model_id },
    read = function() return configuration.confirm(run.gateway, config, result) end,
  })
  if ok then return { etag = now.etag, unread = now.unread } end
  if not errors.is(now) then error(now, 0) end
  return workflow.error_data(now)
end

-- -> the live configuration or nil; and whether it is written without having been read.
local function read_live(run, args, item)
  if args.no_read then return nil, true end
  local live, unserved = configuration.get(run.gateway, item.config)
  if not unserved then return live, false end
  if args.check then error(unserved, 0) end
  run.log.warn("%s: the gateway does not serve configurations for reading (%s): it is written without comparing",
    item.name, tostring(unserved.message))
  return nil, true
end

local function apply(run, args, item, entry)
  if item.failure then error(item.failure, 0) end
  local live, blind = read_live(run, args, item)
  local result, doubt = run:step("put " .. entry.name, function()
    local result = configuration.put(run.gateway, item.config, live, {
      audit_id = item.audit_id, dry_run = args.check or nil, unconditional = blind or nil,
    })
    batch.note(entry, result)
    if not CHANGED[result.status] then return result end
    return result, blind and { unread = true } or confirm(run, result.content, entry, result)
  end, {
    -- It is in force, whatever reading it back says.
    webhook = function(result)
      if not CHANGED[result.status] then return nil end
      return "llm_config_change", {
        audit_log = result.audit_log, configuration_snapshot = configuration.snapshot(result.content),
      }
    end,
    told = batch.told(entry), again = function(_, doubt) return doubt ~= nil and doubt.code ~= nil end,
  })
  batch.note(entry, result)
  if args.check then entry.status = result.status == "unchanged" and "in_sync" or "drifted" end
  if not CHANGED[result.status] then return end
  entry.audit_id, entry.compliance_mode = result.audit_id, result.content.compliance_mode
  if doubt.code then errors.raise(doubt) end
  entry.confirmed, entry.etag = not doubt.unread, doubt.etag or entry.etag
end

-- ---- what is counted and recorded of it ----

local function durations(run)
  return run.metrics:histogram("moongate_model_configuration_update_duration_seconds",
    "Time of an update, waits and retries included.", { "outcome" })
end

local function measure(run, entry, outcome)
  run.metrics:counter("moongate_model_configuration_updates_total",
    "Updates of model configurations by model and outcome, without unchanged ones.", { "model_id", "outcome" })
    :add(1, entry.model_id, outcome)
  durations(run):observe(entry.latency_ms / 1000, outcome)
end

-- A failure that came before the write's own audit lines gets one here.
local function record_failure(run, item, entry, err)
  entry.audit_id = item.audit_id
  if entry.audit_seq or err.audit_seq then return end
  local event = configuration.audit_record {
    audit_id = item.audit_id, config = item.config, status = "failed", latency_ms = entry.latency_ms, error = err,
  }
  event.action = "configuration_update"
  local seq, fault = run.audit.event(event)
  if not seq then run.log.error("%s: its failure could not be audited: %s", entry.name, fault.message) end
  entry.audit_seq = seq
end

local function update(run, args, item, entry)
  local started = time.monotonic()
  item.audit_id = uuid.v4()
  local ok, err = pcall(apply, run, args, item, entry)
  if ok and not CHANGED[entry.status] then return end
  if not ok and (args.check or run.dry_run or not errors.is(err)) then error(err, 0) end
  if not ok then
    entry.latency_ms = entry.latency_ms or err.latency_ms or milliseconds(time.monotonic() - started)
    record_failure(run, item, entry, err)
  end
  measure(run, entry, ok and "success" or "failure")
  if not ok then error(err, 0) end
end

-- ---- the result ----

local ORDER = { "created", "updated", "reconciled", "unchanged", "planned", "in_sync", "drifted", "failed" }

local function final_line(entry)
  local add, done = batch.line(entry, entry.name)
  add("as %d", entry.queue_id)
  add("model %s", entry.model or entry.model_id)
  add("etag %s", entry.etag)
  if CHANGED[entry.status] then add("%s ms", entry.latency_ms) end
  add("correlation %s", entry.correlation_id)
  add("audit %d", entry.audit_seq)
  return done()
end

local function change_lines(entry) return batch.changes(entry, entry.name) end

-- All updates in one sum. A rate or an average of none is null.
local function metrics_of(run)
  local good, bad = durations(run):summary "success", durations(run):summary "failure"
  local updates = good.count + bad.count
  return {
    updates = updates, successes = good.count, failures = bad.count,
    success_rate = updates > 0 and good.count / updates or json.null,
    avg_latency_ms = updates > 0 and milliseconds((good.sum + bad.sum) / updates) or json.null,
  }
end

local function result_of(run, entries)
  local out = batch.result(entries, {
    noun = "configurations", order = ORDER, detail = change_lines, line = final_line,
  })
  local m = metrics_of(run)
  out.metrics = m
  if m.updates > 1 then
    out.text[#out.text + 1] = ("%d updates: %d succeeded, %d failed (%.4g %%), %g ms on average"):format(m.updates,
      m.successes, m.failures, m.success_rate * 100, m.avg_latency_ms)
  end
  if out.exit_status == 0 and out.summary.drifted > 0 then
    out.exit_status = workflow.exit_status(errors.new { code = "verify", message = "drifted" })
  end
  return out
end

-- ---- the workflow ----

-- {"a,b", "c"} -> {"a", "b", "c"}; nil for none.
local function names_in(lists)
  local names = {}
  for _, list in ipairs(lists or {}) do
    for name in list:gmatch "[^,]+" do names[#names + 1] = name:match "^%s*(.-)%s*$" end
  end
  return #names > 0 and names or nil
end

-- What this run writes, if anything.
local function places(items)
  local list = {}
  for i, item in ipairs(items) do list[i] = { "model_configuration", configuration.place(item.config) } end
  return list
end

return workflow.define {
  name = "configure-model",
  summary = "create or update configurations of models",
  description = {
    "Checks every file, and each configuration against its model's capabilities; an error in any of them stops all.",
    "Then compares each configuration with the live one, writes differences with If-Match, reads them back, audits",
    "them and sends llm_config_change to the webhooks of the project file. With --check nothing is written and",
    "differences are shown, with exit status 8. A file contains one configuration or a set:",
    '{"defaults": {...}, "configurations": {"NAME": {...}, ...}}. A folder means all .json files in it. A failure does',
    "not stop the other configurations; the exit status is that of the first failure in the order given.",
  },
  author = "moongate",
  categories = { "write", "model" },
  args = { { "config", "model configuration (JSON), a set of them, a folder, or -", repeated = true } },
  flags = {
    { "only", "process only these configurations (comma-separated)", repeated = true, value = "NAMES" },
    { "check", "write nothing; exit with status 8 on differences", type = "boolean" },
    { "capabilities", "read model capabilities from FILE, not the gateway", value = "FILE" },
    { "no-read", "write without reading the live configuration", type = "boolean" },
    { "on-conflict", "handle resources that another client modified", choices = { "fail", "rebase", "overwrite" },
      default = "fail" },
    { "concurrency", "process up to N configurations in parallel", type = "integer", min = 1, max = 256, default = 4,
      value = "N" },
    { "rate", "limit requests to the gateway per second", type = "number", min = 0.01, value = "N" },
  },
  examples = {
    { "moongate --sim configure-model scripts/examples/model_configuration.json", "against the simulated gateway" },
    { "moongate configure-model models.json --only support,drafting", "only two of a set" },
    { "moongate configure-model models.json --check", "detect manual changes" },
  },
  permissions = { read = { "." } },  -- and the files that the user names, wherever they are
  run = function(run, args)
    if args.check and args.no_read then
      errors.raise { code = "usage", message = "--check compares with what is live: --no-read has no meaning" }
    end
    local items = configuration.load_all(args.config, { only = names_in(args.only) })
    if args.rate then run:client { rate = { per_second = args.rate, burst = math.max(1, args.rate) } } end
    if not args.check then run:hold(places(items)) end
    survey(run, items, args)
    local entries = batch.map(run, items, {
      noun = "configurations", concurrency = args.concurrency, changed = CHANGED,
      name = function(entry) return entry.name end,
      entry = function(item)
        return {
          name = item.name, model_id = item.config.model_id, model = item.capabilities and item.capabilities.name,
          file = item.file, compliance_mode = item.config.compliance_mode,
          changes = json.array {},
        }
      end,
      work = function(item, entry) update(run, args, item, entry) end,
    })
    return result_of(run, entries)
  end,
}
