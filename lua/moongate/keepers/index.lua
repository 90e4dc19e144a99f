-- index.lua - the keeper of vector-store indexes, see keepers.lua. The group's place has the vector store.

local errors = require "moongate.error"
local generic = require "moongate.keepers.generic"
local index = require "moongate.index"
local keepers = require "moongate.keepers"
local resources = require "moongate.resources"

local M = setmetatable({}, { __index = generic })

function M.load(run, group)
  local kind, items = run.gateway:kind "index", {}
  for i, item in ipairs(index.load_all(group.paths, { limits = run.limits })) do
    local place = index.place(group.place, item.config)
    if not place.vectorStoreId then
      errors.raise {
        code = "usage", message = "the vector store of the indexes is not given",
        hint = "Give --vector-store, or `place = { vectorStoreId = … }` in the project file's resources.",
      }
    end
    items[i] = { address = resources.address(kind, place), place = place, content = item.config, file = item.file }
  end
  return items
end

function M.write(gateway, change, opts)
  return index.put(gateway, change.place, change.change.after, keepers.base(change), opts)
end

function M.announce(change, result)
  return "index_update", index.announcement(change.place, result.content, {
    status = result.status, retrieval_precision = result.retrievalPrecision, updated_at = result.updatedAt,
    latency_ms = result.latency_ms, correlation_id = result.correlation_id,
  })
end

return M
