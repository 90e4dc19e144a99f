-- deploy-index: bring vector-store indexes to what their configuration files say.
--
--   load every file; a fault in one, and all faults of all are told and nothing is sent
--   for each index, several at a time: read it, compare, PUT with If-Match when something differs, read it back, audit,
--   tell the webhooks
--
-- One index that fails does not stop the others; the exit status is that of the first failed one, in the order given.

local diff = require "moongate.diff"
local errors = require "moongate.error"
local index = require "moongate.index"
local json = require "moongate.json"
local task = require "moongate.task"
local workflow = require "moongate.workflow"

local CHANGED = { created = true, updated = true, reconciled = true }

-- ---- one index ----

local function note_write(entry, result)
  entry.status, entry.changes = result.status, diff.to_json(result.changes)
  entry.index_status, entry.etag, entry.last_update = result.index_status, result.etag, result.updatedAt
  entry.retrieval_precision, entry.sync_event_id = result.retrievalPrecision, result.syncEventId
  entry.latency_ms, entry.attempts = result.latency_ms, result.attempts
  entry.correlation_id, entry.payload_hash = result.correlation_id, result.payload_hash
  entry.audit_seq, entry.rebased, entry.overwrote = result.audit_seq, result.rebased, result.overwrote
end

local function audit_confirm(run, entry, err)
  assert(run.audit.event {
    action = "index_confirm", indexId = entry.index_id, vector_store_id = entry.vector_store_id,
    status = not err and "confirmed" or err.code == "verify" and "mismatch" or "failed",
    error_code = err and err.code or nil, error_message = err and err.message or nil,
  })
end

local function confirm(run, config, entry, result)
  local ok, now = pcall(index.confirm, run.gateway, run.flags, config, result)
  if not ok and not errors.is(now) then error(now, 0) end
  audit_confirm(run, entry, not ok and now or nil)
  if not ok then error(now, 0) end
  entry.confirmed = true
  entry.etag, entry.index_status = now.etag or entry.etag, now.status or entry.index_status
  entry.last_update = now.body.updatedAt or entry.last_update
end

local function tell(run, config, entry)
  local notes = run:webhook("index_update", {
    indexId = entry.index_id, vectorStoreId = entry.vector_store_id, status = entry.status,
    dimensions = config.dimensions, similarityMetric = config.similarityMetric,
    retrievalPrecision = entry.retrieval_precision, updatedAt = entry.last_update, latencyMs = entry.latency_ms,
    correlationId = entry.correlation_id,
  })
  if #notes > 0 then entry.webhooks = json.array(notes) end
end

local function deploy(run, item, entry)
  local live = index.get(run.gateway, run.flags, item.config)
  local result = run:step("put " .. entry.index_id, function()
    return index.put(run.gateway, run.flags, item.config, live)
  end)
  note_write(entry, result)
  if not CHANGED[result.status] then return end
  confirm(run, result.content, entry, result)
  tell(run, result.content, entry)
end

-- The entry of one index, whatever happens to it.
local function deploy_one(run, item, progress)
  local entry = {
    index_id = item.config.indexId, vector_store_id = run.flags.vector_store, file = item.file,
    precision = item.precision, changes = json.array {},
  }
  local ok, err = pcall(deploy, run, item, entry)
  if not ok then
    if not errors.is(err) then error(err, 0) end
    entry.written = CHANGED[entry.status] and entry.status or nil -- it took effect; what came after failed
    entry.status, entry.failure = "failed", err
    for _, field in ipairs { "audit_seq", "latency_ms", "correlation_id", "attempts" } do
      entry[field] = entry[field] or err[field]
    end
    run:report(err, entry.index_id)
  end
  progress.advance(1, ("%s: %s"):format(entry.index_id, entry.status))
  return entry
end

-- ---- the result ----

local function final_line(entry)
  local parts = { ("%s: %s"):format(entry.index_id, entry.status) }
  local function add(fmt, value)
    if value ~= nil and value ~= json.null then parts[#parts + 1] = fmt:format(value) end
  end
  if entry.failure then
    parts[1] = parts[1] .. ": " .. entry.failure.message
    add("status %s", entry.failure.status)
    add("(it was %s before that)", entry.written)
  else
    add("%s", entry.index_status)
  end
  add("precision %s", entry.retrieval_precision)
  add("etag %s", entry.etag)
  if CHANGED[entry.status] then add("%s ms", entry.latency_ms) end
  add("correlation %s", entry.correlation_id)
  add("audit %d", entry.audit_seq)
  return table.concat(parts, "  ")
end

local ORDER = { "created", "updated", "reconciled", "unchanged", "planned", "failed" }

local function count(entries)
  local summary = { total = #entries }
  for _, status in ipairs(ORDER) do summary[status] = 0 end
  for _, entry in ipairs(entries) do summary[entry.status] = summary[entry.status] + 1 end
  return summary
end

local function summary_line(summary)
  local parts = {}
  for _, status in ipairs(ORDER) do
    if summary[status] > 0 then parts[#parts + 1] = ("%d %s"):format(summary[status], status) end
  end
  return ("%d indexes: %s"):format(summary.total, table.concat(parts, ", "))
end

-- Every change first, then a line for each index, then the sum.
local function lines_of(entries, summary)
  local lines = {}
  for _, entry in ipairs(entries) do
    if #entry.changes > 0 then
      lines[#lines + 1] = ("%s  (%s)"):format(entry.index_id, entry.file)
      local shown = diff.lines(entry.changes, "  ")
      table.move(shown, 1, #shown, #lines + 1, lines)
    end
  end
  for _, entry in ipairs(entries) do lines[#lines + 1] = final_line(entry) end
  if #entries > 1 then lines[#lines + 1] = summary_line(summary) end
  return lines
end

local function result_of(entries)
  local summary = count(entries)
  local text, status = lines_of(entries, summary), 0
  for _, entry in ipairs(entries) do
    if entry.failure then
      if status == 0 then status = workflow.exit_status(entry.failure) end
      entry.error, entry.failure = workflow.error_data(entry.failure), nil
    end
  end
  return { results = json.array(entries), summary = summary, text = text, exit_status = status }
end

-- ---- the workflow ----

-- Under --sim there is one store for whoever names none.
local function name_store(run)
  if run.flags.vector_store then return end
  if not run.simulated then
    error(errors.new {
      code = "usage", message = "--vector-store is required (or set GENESYS_CLOUD_VECTOR_STORE_ID)",
    }, 0)
  end
  run.flags.vector_store = "sim-store"
end

return workflow.define {
  name = "deploy-index",
  summary = "create or update vector-store indexes from configuration files",
  description = {
    "Checks every file first and sends nothing when one has a fault. Then each index is read, compared with its",
    "file, written with If-Match when something differs, read back, audited and told to the project file's webhooks.",
    "A folder stands for the .json files in it. One index that fails does not stop the others; the exit status is",
    "that of the first that failed, in the order given.",
  },
  categories = { "index" },
  args = { { "config", "index configuration (JSON), or a folder of them", repeated = true } },
  flags = {
    { "vector-store", "the vector store that holds the indexes; required, but under --sim", value = "ID",
      env = "GENESYS_CLOUD_VECTOR_STORE_ID" },
    { "precision", "picks the limit on dimensions, over what the file says", choices = { "standard", "high" } },
    { "on-conflict", "what to do when somebody else wrote meanwhile", choices = { "fail", "rebase", "overwrite" },
      default = "fail" },
    { "concurrency", "indexes worked on at once", type = "integer", min = 1, max = 256, default = 4, value = "N" },
    { "rate", "requests a second to the gateway, at most", type = "number", min = 0.01, value = "N" },
  },
  examples = {
    { "moongate --sim deploy-index scripts/examples/index.json", "against the simulated gateway" },
    { "moongate deploy-index --dry-run indexes/", "what would change" },
    { "moongate deploy-index a.json b.json --on-conflict=rebase" },
  },
  run = function(run, args)
    local items = index.load_all(args.config, { precision = args.precision, limits = run.limits })
    name_store(run)
    if args.rate then run:client { rate = { per_second = args.rate, burst = math.max(1, args.rate) } } end
    local _ = run.gateway -- what is wrong with its declaration is wrong for every index
    local progress = run:progress(#items, "indexes")
    local entries = assert(task.map(items, args.concurrency, function(item)
      return deploy_one(run, item, progress)
    end))
    progress.done()
    return result_of(entries)
  end,
}
