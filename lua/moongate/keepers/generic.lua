-- generic.lua - the keeper of kinds without one of their own: a JSON file is the content of a resource, and its place
-- is the group's `place` and the member that the group's `id` names. See keepers.lua.

local documents = require "moongate.documents"
local keepers = require "moongate.keepers"
local resources = require "moongate.resources"

local M = {}

local FILE_MAX = 16 << 20

local function at(document, pointer)
  for token in pointer:gmatch "/([^/]*)" do
    if not documents.is_object(document) then return nil end
    document = document[token]
  end
  return document
end

-- The arguments of the resource's path, or nil and an error.
local function place_of(kind, group, document, path, faults)
  local args = {}
  for name in (kind.item or kind.path):gmatch "{([%w_]+)}" do
    args[name] = group.place[name]
    if args[name] == nil and group.id then
      local value = at(document, group.id)
      if type(value) == "string" or math.type(value) == "integer" then args[name] = tostring(value) end
    end
    if args[name] == nil then
      return documents.add(faults, path, group.id,
        ("does not say its %s: name its member by `id` in resources, or give it in `place`"):format(name))
    end
  end
  return args
end

local function load_one(kind, group, path, faults)
  local text = documents.read(path, { what = "a " .. kind.title, max_bytes = FILE_MAX }, faults)
  local document = text and documents.decode(path, text, faults)
  if document == nil then return nil end
  local valid, more = true, nil
  if kind.schema then
    valid, more = documents.check(document, {
      schema = kind.schema, what = "a " .. kind.title, text = text, file = path,
    })
  end
  if not valid then
    table.move(more, 1, #more, #faults + 1, faults)
    return nil
  end
  local place = place_of(kind, group, document, path, faults)
  if not place then return nil end
  local address = resources.address(kind, place)
  return { address = address, place = place, content = document, file = path }, address
end

function M.load(run, group)
  local kind = run.gateway:kind(group.kind)
  return documents.load_all(group.paths, {
    id = group.id or "", load = function(path, faults) return load_one(kind, group, path, faults) end,
  })
end

function M.look(gateway, item)
  return keepers.see(gateway:get(item.kind, item.place, { fresh = true }))
end

function M.want(gateway, item, seen)
  return keepers.want(gateway, gateway:kind(item.kind), item, seen)
end

function M.write(gateway, change, opts)
  opts.base, opts.content = keepers.base(change), change.change.after
  return gateway:write(change.kind, change.place, opts)
end

function M.confirm(gateway, change, result)
  return gateway:confirm(change.kind, change.place, change.change.after, result, change.address)
end

function M.announce() end

M.lines = keepers.lines

return M
