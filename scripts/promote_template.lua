-- promote-template: make a new version of a prompt template live, or an older one again.
--
--   load every file; on an error in one, all errors of all are reported and nothing is sent
--   hold them all, so that no other run is half-way through them
--   for each template, several at a time: look at what is there, refuse what exists, show what changes against the live
--   version, POST it, tell the webhooks, audit
--
-- One template that fails does not stop the others; the exit status is that of the first failed one, in the order
-- given.

local answer = require "moongate.gateway.answer"
local batch = require "moongate.batch"
local diff = require "moongate.diff"
local errors = require "moongate.error"
local json = require "moongate.json"
local template = require "moongate.template"
local time = require "moongate.time"
local uuid = require "moongate.uuid"
local workflow = require "moongate.workflow"

local CHANGED = { promoted = true, rolled_back = true, reconciled = true, rollback_ended = true }

local function usage(message)
  errors.raise { code = "usage", message = message }
end

-- ---- what was asked for ----

-- "20%" -> 0.2, whole percentages only.
local function fraction_of(text)
  local percent = text and math.tointeger(tonumber(text:match("^(%d%d?%d?)%%$")))
  if text and not (percent and percent <= 100) then usage("--split needs a whole percentage: 20%") end
  return percent and percent / 100
end

local MODES = { "render", "rollback", "end_rollback" }

local function mode_of(args)
  local mode, shown = nil, nil
  for _, name in ipairs(MODES) do
    if args[name] then
      local flag = "--" .. name:gsub("_", "-")
      if mode then usage(("%s and %s are two things"):format(shown, flag)) end
      mode, shown = name, flag
    end
  end
  if mode and (args.split or args.variant) then
    usage(("--split and --variant have no meaning with %s"):format(shown))
  end
  if args.id and mode ~= "rollback" and mode ~= "end_rollback" then
    usage("--id stands for a file with --rollback and --end-rollback only")
  end
  if not args.template[1] and not args.id then usage("missing argument TEMPLATE: a prompt template") end
  return mode or "promote"
end

local function items_of(run, args)
  local items = #args.template > 0 and template.load_all(args.template, {
    limits = run.limits, model_window = args.model_window, split = fraction_of(args.split), variant = args.variant,
  }) or {}
  for i, item in ipairs(items) do
    items[i] = { template_id = item.document.templateId, version = item.document.version, template = item }
    for _, warning in ipairs(item.warnings) do run.log.warn("%s: %s", item.file, warning) end
  end
  if args.id then items[#items + 1] = { template_id = args.id } end
  return items
end

-- ---- telling of it ----

local function note_write(entry, result, status)
  entry.status = result.status == "created" and status or result.status
  entry.attempts, entry.correlation_id, entry.payload_hash = result.attempts, result.correlation_id, result.payload_hash
  entry.latency_ms, entry.audit_seq = result.latency_ms, result.audit_seq
  entry.generation_success_rate = result.generation_success_rate
  entry.gateway_status = type(result.body) == "table" and result.body.status or nil
end

-- The data of the webhook, for the prompt registry and others.
local function announcement(entry, document)
  local facts = {
    audit_id = entry.audit_id, generation_success_rate = entry.generation_success_rate, latency_ms = entry.latency_ms,
    correlation_id = entry.correlation_id, payload_hash = entry.payload_hash, previous_version = entry.live_version,
  }
  if document then return template.announcement(document, facts) end
  return {
    action = "ROLLBACK_END", templateId = entry.template_id, version = entry.version, auditId = facts.audit_id,
    status = "ROLLBACK_ENDED", latencyMs = facts.latency_ms, correlationId = facts.correlation_id,
    payloadHash = facts.payload_hash, previousVersion = facts.previous_version,
    estimatedContextTokens = entry.estimated_tokens,
  }
end

-- The options of a step that writes: when it has changed something, `event` goes with its end. note(result): into the
-- entry. webhook_synced: everybody who wanted to know does.
local function announcing(entry, event, document, note)
  return {
    webhook = function(result)
      note(result)
      if CHANGED[entry.status] then return event, announcement(entry, document) end
    end,
    told = function(notes)
      entry.webhook_synced = #notes > 0
      for _, told in ipairs(notes) do entry.webhook_synced = entry.webhook_synced and told.delivered end
      batch.told(entry)(notes)
    end,
  }
end

-- The audit event of a promotion, whether it succeeded or failed.
local function audit(run, entry, document, err)
  assert(run.audit.event {
    action = "VERSION_PROMOTION", timestamp = time.iso(), templateId = entry.template_id, version = entry.version,
    status = err and "FAILED" or "PROMOTED", latencyMs = entry.latency_ms,
    generationSuccessRate = entry.generation_success_rate or json.null, webhookSynced = entry.webhook_synced or false,
    auditId = entry.audit_id, rollbackDirective = document.rollbackDirective,
    estimatedContextTokens = template.estimate(document.content), correlationId = entry.correlation_id,
    error_code = err and err.code or nil, error_message = err and answer.reason(err) or nil,
  })
end

-- A step whose work() -> the result of a write; tells of it, and writes the audit event in any case, with the time it
-- took. what: {step = name, event, status}
local function recorded(run, entry, document, what, work)
  local started = time.monotonic()
  entry.audit_id = uuid.v7()
  local function note(result) note_write(entry, result, what.status) end
  local ok, result = pcall(run.step, run, what.step, work, announcing(entry, what.event, document, note))
  if ok then
    note(result)
    if not CHANGED[entry.status] then
      entry.audit_id = nil -- nothing to audit
      return
    end
  elseif errors.is(result) then
    entry.latency_ms = result.latency_ms or math.floor((time.monotonic() - started) * 10000 + 0.5) / 10
    entry.correlation_id = result.correlation_id
  else
    error(result, 0)
  end
  if not run.dry_run then audit(run, entry, document, not ok and result or nil) end
  if not ok then error(result, 0) end
end

-- ---- one template ----

local function describe(entry, document, seen)
  local live = seen.live and seen.live.content
  entry.live_version = live and live.version
  entry.diff = template.diff(live, document)
  entry.changes = diff.to_json(diff.compare(live, document))
  entry.characters, entry.estimated_tokens = utf8.len(document.content), template.estimate(document.content)
  local trigger = document.abTestingTrigger
  if trigger and trigger.enabled then
    entry.ab_test = { variant = trigger.variantId, traffic_percent = math.floor(trigger.trafficPercent * 100 + 0.5) }
  end
end

-- What the gateway holds of it before anything is changed: a resumed run still compares with that.
local function look(run, item, version)
  return run:read("look at " .. item.template_id, function()
    local seen = template.look(run.gateway, item.template_id, version)
    for i, state in ipairs(seen.versions) do seen.versions[i] = { version = state.version, status = state.status } end
    return seen
  end)
end

local function roll_back(run, item, entry, version)
  local seen = look(run, item, version)
  local document = template.rollback_document(item.template_id, version, seen, item.template and item.template.document)
  describe(entry, document, seen)
  recorded(run, entry, document, {
    step = "roll back " .. item.template_id, event = "template_rolled_back", status = "rolled_back",
  }, function() return template.rollback(run.gateway, document, seen, { audit_id = entry.audit_id }) end)
end

local function promote(run, item, entry)
  local document = item.template.document
  if document.rollbackDirective then return roll_back(run, item, entry, item.version) end
  entry.threshold, entry.warnings = item.template.threshold, item.template.warnings
  local seen = look(run, item, item.version)
  describe(entry, document, seen)
  recorded(run, entry, document, {
    step = "promote " .. item.template_id, event = "template_promoted", status = "promoted",
  }, function() return template.promote(run.gateway, item.template, seen, { audit_id = entry.audit_id }) end)
end

local function end_rollback(run, item, entry)
  entry.version = nil
  local function note(result)
    note_write(entry, result)
    if result.status == "deleted" then entry.status = "rollback_ended" end
  end
  note(run:step("end rollback of " .. item.template_id, function()
    return template.end_rollback(run.gateway, item.template_id)
  end, announcing(entry, "template_rollback_ended", nil, note)))
end

local function render(_, item, entry, values)
  local result, faults = template.render(item.template, values)
  if not result then
    errors.raise {
      code = "invalid", details = faults, outcome = "not_sent",
      message = ("the sample variables do not fit %s: %d error%s"):format(item.template_id, #faults,
        #faults == 1 and "" or "s"),
    }
  end
  entry.status, entry.rendered, entry.characters = "rendered", result.text, result.characters
  entry.estimated_tokens, entry.threshold = result.estimated_tokens, result.threshold
end

local WORK = {
  promote = promote, end_rollback = end_rollback, render = render,
  rollback = function(run, item, entry, version)
    entry.version = version
    roll_back(run, item, entry, version)
  end,
}

-- ---- the result ----

local ORDER = {
  "promoted", "rolled_back", "reconciled", "rollback_ended", "unchanged", "planned", "rendered", "failed",
}

local function name_of(entry)
  return entry.template_id .. (entry.version and " " .. entry.version or "")
end

local function detail_lines(entry)
  local lines, changed = {}, entry.diff
  if not changed then return lines end
  local function add(fmt, ...) lines[#lines + 1] = fmt:format(...) end
  add("%s  (%s%s)", name_of(entry), entry.live_version and "live: " .. entry.live_version or "nothing is live",
    entry.file and "; " .. entry.file or "")
  for _, name in ipairs(changed.placeholders.added) do add("  + placeholder {{%s}}", name) end
  for _, name in ipairs(changed.placeholders.removed) do add("  - placeholder {{%s}}", name) end
  local prefixed = {}
  for i, c in ipairs(changed.variables) do
    prefixed[i] = { op = c.op, pointer = "/variables" .. c.pointer, from = c.from, to = c.to }
  end
  for _, line in ipairs(diff.lines(prefixed, "  ")) do add("%s", line) end
  for _, line in ipairs(changed.content) do add("  | %s", line) end
  if #lines == 1 then add("  no changes of its text or variables") end
  return lines
end

local function final_line(entry)
  if entry.rendered and entry.status == "rendered" then return entry.rendered end
  local add, done = batch.line(entry, name_of(entry))
  add("%s", entry.gateway_status)
  if entry.ab_test then add("variant " .. entry.ab_test.variant .. " with %d %%", entry.ab_test.traffic_percent) end
  add("%d tokens estimated", entry.estimated_tokens)
  if CHANGED[entry.status] then add("%s ms", entry.latency_ms) end
  add("correlation %s", entry.correlation_id)
  add("audit %d", entry.audit_seq)
  return done()
end

-- ---- the workflow ----

-- What this run writes, if anything.
local function places(items)
  local list = {}
  for i, item in ipairs(items) do list[i] = { "template_version", { templateId = item.template_id } } end
  return list
end

return workflow.define {
  name = "promote-template",
  summary = "promote prompt templates, split traffic, roll back",
  description = {
    "Checks every file first (placeholders, variables, length, tokens); an error in any of them stops all. Then",
    "compares each template with its live version, posts it, notifies the webhooks of the project file and audits it.",
    "A version that already exists is refused. A template is a JSON file, or a text file with its metadata at the top",
    "(--- key: value ---) or in NAME.meta.json. A folder means all .json and .txt files in it.",
  },
  author = "moongate",
  categories = { "write", "template" },
  args = { { "template", "a prompt template, a folder of them, or -", repeated = true, optional = true } },
  flags = {
    { "split", "send this share of the traffic to the new version", value = "PERCENT" },
    { "variant", "name the new version in the A/B test", value = "ID" },
    { "rollback", "make VERSION live again and block promotions", value = "VERSION" },
    { "end-rollback", "allow promotions again", type = "boolean" },
    { "id", "name the template of --rollback or --end-rollback by id", value = "TEMPLATE" },
    { "render", "print templates filled with variables; send nothing", value = "FILE" },
    { "model-window", "set the context window of the model", type = "integer",
      min = 1, value = "TOKENS" },
    { "concurrency", "process up to N templates in parallel", type = "integer", min = 1, max = 256, default = 4,
      value = "N" },
    { "rate", "limit requests to the gateway per second", type = "number", min = 0.01, value = "N" },
  },
  examples = {
    { "moongate --sim promote-template scripts/examples/template.json", "against the simulated gateway" },
    { "moongate promote-template --dry-run support_answer.txt", "show what would change" },
    { "moongate promote-template support_answer.txt --split 20% --variant shorter", "for 20% of the traffic" },
    { "moongate promote-template support_answer.txt --render vars.json", "print the filled template" },
    { "moongate promote-template --id support-answer --rollback 1.1.0" },
  },
  permissions = { read = { "." } },  -- and the files that the user names, wherever they are
  offline = function(values) return values.render ~= nil end,
  run = function(run, args)
    local mode = mode_of(args)
    local items = items_of(run, args)
    local given = args.rollback
    if mode == "render" then
      given = template.load_values(args.render)
    else
      if args.rate then run:client { rate = { per_second = args.rate, burst = math.max(1, args.rate) } } end
      run:hold(places(items))
    end
    local entries = batch.map(run, items, {
      noun = "templates", concurrency = args.concurrency, changed = CHANGED, name = name_of,
      entry = function(item)
        return {
          template_id = item.template_id, version = item.version, file = item.template and item.template.file,
        }
      end,
      work = function(item, entry) WORK[mode](run, item, entry, given) end,
    })
    return batch.result(entries, { noun = "templates", order = ORDER, detail = detail_lines, line = final_line })
  end,
}
