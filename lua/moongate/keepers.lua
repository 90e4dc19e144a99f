-- keepers.lua - what a plan does with resources of one kind: how their files are read, what is on the gateway, what has
-- to be written, and how. A keeper is a table of functions, found by the kind's name, else `generic`:
--
--   load(run, group) -> items {address, place, content, file, …}; raises all errors of all files
--   look(gateway, item, at) -> seen, plain data of what the gateway holds; never from the cache
--   want(gateway, item, seen) -> nil where nothing is to be written; else {actions, action = "update", before, after,
--     changes, base = {etag, hash}, guard, undo = {possible, why}}. Raises "conflict" for what can't be written
--   before(gateway, change) -> plain data of what is there right before the write, for kinds without a precondition; a
--     run that is resumed behind it sees the same; optional
--   write(gateway, change, opts of gateway:write, what `before` gave) -> its result. change: of a plan, see plan.lua.
--     It reads nothing itself: a resumed run has to reach the write that it had started
--   confirm(gateway, change, result): reads it back; raises "verify" where that differs
--   announce(change, result) -> event, data for the webhooks; nil: none
--   lines(change) -> lines for people, below the change's heading
--
-- For plan.lua.

local diff = require "moongate.diff"
local hash = require "moongate.hash"

local M = {}

local OWN = {
  index = "moongate.keepers.index", template_version = "moongate.keepers.template",
  model = "moongate.keepers.model", model_configuration = "moongate.keepers.configuration",
}

-- M.of(kind's name) -> keeper
function M.of(name) return require(OWN[name] or "moongate.keepers.generic") end

-- ---- what keepers of resources with a content share ----

-- M.see(resource | nil) -> seen, as plain data.
function M.see(resource)
  if not resource then return { there = false } end
  return { there = true, etag = resource.etag, content = resource.content, hash = hash.payload(resource.content) }
end

-- M.want(gateway, kind, item, seen) -> what has to be written so that the resource holds item.content.
function M.want(gateway, kind, item, seen)
  local preview = gateway:preview(kind.name, item.content, seen.content)
  if seen.there and #preview.changes == 0 then return nil end
  local action = seen.there and "update" or "create"
  return {
    actions = { action }, action = action, before = seen.content, after = preview.body, after_hash = preview.hash,
    changes = preview.changes, base = seen.there and { etag = seen.etag, hash = seen.hash } or nil,
    guard = kind.lock == "etag" and (seen.etag or not seen.there) and "etag" or "content",
    undo = M.undo(kind, action),
  }
end

-- M.undo(kind, action) -> whether a change can be undone, and why not.
function M.undo(kind, action)
  if action == "update" or kind.removable then return { possible = true } end
  return { possible = false, why = "the gateway has no DELETE for the kind " .. kind.name }
end

-- M.base(change) -> the base of a write: the resource as the plan has it; nil for a create.
function M.base(change)
  if not change.base then return nil end
  return { content = change.change.before, etag = change.base.etag }
end

-- M.lines(change) -> its changes, one a line.
function M.lines(change) return diff.lines(diff.compare(change.change.before, change.change.after), "  ") end

return M
