-- enqueue.lua - prompts from a file or standard input into a queue (moongate.queue): checked as always, in their
-- order, some hundreds a transaction, in memory that does not grow. A bad line is in the queue with its result.
-- For scripts/route_prompts.lua.

local ids = require "moongate.router.ids"
local json = require "moongate.json"
local merged = require "moongate.merged"
local plain = require "moongate.plain"
local queues = require "moongate.queue"
local stream = require "moongate.router.stream"

local M = {}

local CHUNK = 250

-- All that a worker has to know, whoever it is.
local function payload(item, number)
  local models = json.array {}
  for i, model in ipairs(item.chain) do models[i] = model.id end
  return assert(plain.encode {
    line = number, id = item.id, prompt = item.prompt, models = models, parameters = item.parameters,
    filters = item.filters, labels = item.labels,
  })
end

local function entry(s, id_of, line, number)
  local item, result = s:item(line, number)
  local id = id_of(number)
  if item then return { request_id = id, payload = payload(item, number) } end
  return {
    request_id = id, payload = assert(plain.encode { line = number, id = result.id }),
    result = plain.write(result),
  }
end

-- M.run(run, router, {file, max_errors, queue = name, settings = the queue's}) -> {added, there = what was in the queue
-- already, planned = how many are fit, in a dry run, failures, first_failure, stopped}. The same file in the same run
-- adds nothing twice.
function M.run(run, router, opts)
  local s = stream.open(run, router, { file = opts.file, max_errors = opts.max_errors, concurrency = 1 })
  local _ <close> = s.reader
  local id_of = ids.of_lines(run.id)
  local queue, added, total, chunk = nil, 0, 0, {}
  if not run.dry_run then
    local settings = merged({ gateway = queues.gateway_of(run) }, opts.settings)
    queue = queues.create(assert(require("moongate.store").session()), opts.queue, settings)
  end
  local function flush()
    if queue then added = added + queue:add(chunk) end
    total = total + #chunk
    s.bar.advance(#chunk)
    chunk = {}
  end
  while true do
    local line, number = s:take()
    if line == nil then break end
    chunk[#chunk + 1] = entry(s, id_of, line, number)
    if #chunk == CHUNK then flush() end
  end
  flush()
  s.bar.done()
  return {
    added = added, there = queue and total - added or 0, planned = not queue and total - s.failures or nil,
    failures = s.failures, first_failure = s.first_failure, stopped = s.stopped,
  }
end

return M
