-- deploy-index: bring vector-store indexes to what their configuration files say.
--
--   load every file; on an error in one, all errors of all are reported and nothing is sent
--   hold them all, so that no other run is half-way through them
--   for each index, several at a time: read it, compare, PUT with If-Match when something differs, read it back, audit,
--   tell the webhooks
--
-- One index that fails does not stop the others; the exit status is that of the first failed one, in the order given.

local batch = require "moongate.batch"
local errors = require "moongate.error"
local index = require "moongate.index"
local json = require "moongate.json"
local time = require "moongate.time"
local workflow = require "moongate.workflow"

local CHANGED = batch.CHANGED

-- ---- one index ----

local function note_write(entry, result)
  batch.note(entry, result)
  entry.index_status, entry.last_update = result.index_status, result.updatedAt
  entry.retrieval_precision, entry.sync_event_id = result.retrievalPrecision, result.syncEventId
end

-- Reads the index back -> plain data.
local function confirm(run, entry, result)
  local now = batch.confirm(run, entry, {
    action = "index_confirm", fields = { indexId = entry.index_id, vector_store_id = entry.vector_store_id },
    read = function() return index.confirm(run.gateway, run.flags, result.content, result) end,
  })
  local body = type(now.body) == "table" and now.body or {}
  return { status = now.status, updated_at = body.updatedAt, etag = now.etag, unread = now.unread }
end

local function note_confirmed(entry, seen)
  entry.confirmed, entry.etag = not seen.unread, seen.etag or entry.etag
  entry.index_status = seen.status or entry.index_status
  entry.last_update = seen.updated_at or entry.last_update
end

local function announcement(entry, config)
  return "index_update", index.announcement({
    indexId = entry.index_id, vectorStoreId = entry.vector_store_id,
  }, config, {
    status = entry.status, retrieval_precision = entry.retrieval_precision, updated_at = entry.last_update,
    latency_ms = entry.latency_ms, correlation_id = entry.correlation_id,
  })
end

local function deploy(run, item, entry)
  local live = index.get(run.gateway, run.flags, item.config, { for_write = true })
  local function note(result, seen)
    note_write(entry, result)
    if seen then note_confirmed(entry, seen) end
  end
  note(run:step("put " .. entry.index_id, function()
    local result = index.put(run.gateway, run.flags, item.config, live)
    note(result)
    if CHANGED[result.status] then return result, confirm(run, entry, result) end
    return result
  end, {
    webhook = function(result, seen)
      note(result, seen)
      if seen then return announcement(entry, result.content) end
    end,
    told = batch.told(entry),
  }))
end

-- Where each index stands. An unchanged one keeps the time that was read with it, if any.
local function measure(run, entries)
  local place = { "vector_store_id", "index_id" }
  local updated = run.metrics:gauge("moongate_index_last_update_timestamp_seconds",
    "When the gateway last updated the index, in seconds since 1970.", place)
  local status = run.metrics:gauge("moongate_index_status", "The index's status at the gateway; always 1.",
    { "vector_store_id", "index_id", "status" })
  local updates = run.metrics:counter("moongate_index_updates_total", "What became of an index's deployment.",
    { "vector_store_id", "index_id", "status" })
  for _, entry in ipairs(entries) do
    updates:add(1, entry.vector_store_id, entry.index_id, entry.status)
    local at = type(entry.last_update) == "string" and time.parse(entry.last_update)
    if at then updated:set(at, entry.vector_store_id, entry.index_id) end
    if type(entry.index_status) == "string" then
      status:set(1, entry.vector_store_id, entry.index_id, entry.index_status)
    end
  end
end

-- ---- the result ----

local ORDER = { "created", "updated", "reconciled", "unchanged", "planned", "failed" }

local function final_line(entry)
  local add, done = batch.line(entry, entry.index_id)
  add("as %d", entry.queue_id)
  if entry.status == "queued" then return done() end
  if not entry.failure then add("%s", entry.index_status) end
  add("precision %s", entry.retrieval_precision)
  add("etag %s", entry.etag)
  if CHANGED[entry.status] then add("%s ms", entry.latency_ms) end
  add("correlation %s", entry.correlation_id)
  add("audit %d", entry.audit_seq)
  return done()
end

local function change_lines(entry) return batch.changes(entry, entry.index_id) end

-- ---- the workflow ----

-- Under --sim there is one default store.
local function name_store(run)
  if run.flags.vector_store then return end
  if not run.simulated then
    errors.raise {
      code = "usage", message = "--vector-store is required (or set GENESYS_CLOUD_VECTOR_STORE_ID)",
    }
  end
  run.flags.vector_store = "sim-store"
end

-- What this run writes, if anything: held from before the first look.
local function places(run, items)
  local list = {}
  for i, item in ipairs(items) do list[i] = { "index", index.place(run.flags, item.config) } end
  return list
end

return workflow.define {
  name = "deploy-index",
  summary = "create or update vector-store indexes from files",
  description = {
    "Checks every file first; an error in any of them stops all. Then reads each index, compares it with its file,",
    "writes differences with If-Match, reads them back, audits them and notifies the webhooks of the project file.",
    "A folder means all .json files in it. A failure does not stop the other indexes; the exit status is that of the",
    "first failure in the order given.",
  },
  author = "moongate",
  categories = { "write", "index" },
  args = { { "config", "index configuration (JSON), a folder of them, or -", repeated = true } },
  flags = {
    { "vector-store", "set the vector store of the indexes; optional with --sim", value = "ID",
      env = "GENESYS_CLOUD_VECTOR_STORE_ID" },
    { "precision", "set the precision, which limits dimensions", choices = { "standard", "high" } },
    { "on-conflict", "handle resources that another client modified", choices = { "fail", "rebase", "overwrite" },
      default = "fail" },
    { "concurrency", "process up to N indexes in parallel", type = "integer", min = 1, max = 256, default = 4,
      value = "N" },
    { "rate", "limit requests to the gateway per second", type = "number", min = 0.01, value = "N" },
  },
  examples = {
    { "moongate --sim deploy-index scripts/examples/index.json", "against the simulated gateway" },
    { "moongate deploy-index --dry-run indexes/", "show what would change" },
    { "moongate deploy-index a.json b.json --on-conflict=rebase" },
  },
  permissions = { read = { "." } },  -- and the files that the user names, wherever they are
  run = function(run, args)
    local items = index.load_all(args.config, { precision = args.precision, limits = run.limits })
    name_store(run)
    if args.rate then run:client { rate = { per_second = args.rate, burst = math.max(1, args.rate) } } end
    run:hold(places(run, items))
    local entries = batch.map(run, items, {
      noun = "indexes", concurrency = args.concurrency, changed = CHANGED,
      name = function(entry) return entry.index_id end,
      entry = function(item)
        return {
          index_id = item.config.indexId, vector_store_id = run.flags.vector_store, file = item.file,
          precision = item.precision, changes = json.array {},
        }
      end,
      work = function(item, entry) deploy(run, item, entry) end,
    })
    measure(run, entries)
    return batch.result(entries, { noun = "indexes", order = ORDER, detail = change_lines, line = final_line })
  end,
}
