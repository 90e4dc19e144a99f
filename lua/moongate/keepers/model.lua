-- model.lua - the keeper of registered models, see keepers.lua. A registration can't be changed or undone: a name is
-- free, or taken by the same content.

local generic = require "moongate.keepers.generic"
local hash = require "moongate.hash"
local json = require "moongate.json"
local keepers = require "moongate.keepers"
local model = require "moongate.model"
local resources = require "moongate.resources"
local time = require "moongate.time"

local M = setmetatable({}, { __index = generic })

function M.load(run, group)
  local items = {}
  for i, item in ipairs(model.load_all(group.paths, { limits = run.limits })) do
    items[i] = {
      address = "model/" .. resources.encoded(item.registration.name),
      place = {}, content = item.registration, file = item.file,
    }
  end
  return items
end

function M.look(gateway, item)
  local there, taken = model.find(gateway, item.content)
  if taken then error(taken, 0) end
  return { there = there ~= nil, id = there and there.id }
end

function M.want(_, item, seen)
  if seen.there then return nil end
  return {
    actions = { "create" }, action = "register", after = item.content, after_hash = hash.payload(item.content),
    guard = "name", undo = { possible = false, why = "a registration stays" },
  }
end

-- What was registered since with the same content is the model that is wanted.
function M.before(gateway, change)
  return M.look(gateway, { content = change.change.after })
end

function M.write(gateway, change, opts, now)
  if now.there then return { status = "unchanged", id = now.id, attempts = 0, changes = {} } end
  return model.register(gateway, change.change.after, opts)
end

function M.confirm() end

function M.announce(change, result)
  local job = result.job or {}
  return "llm_model_registration_updated", {
    timestamp = time.iso(), modelId = result.id or json.null, status = "REGISTERED", name = change.change.after.name,
    jobId = job.id, payloadHash = result.payload_hash,
    metrics = { jobDurationMs = job.duration_ms, validationStatus = "SKIPPED" },
  }, { flat = { status = "COMPLETED" } }
end

M.lines = keepers.lines

return M
