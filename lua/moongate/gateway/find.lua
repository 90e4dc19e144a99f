-- find.lua - resources that get their ids from the gateway: found in the listing by the members that name them, and
-- told apart by what they were made from: by the hash that the listing has of it, by what this machine has made itself,
-- else by the members that the listing tells. For gateway.lua and its parts.

local answer = require "moongate.gateway.answer"
local diff = require "moongate.diff"
local hash = require "moongate.hash"
local kinds = require "moongate.gateway.kinds"

local M = {}

local function listed(gw, kind, args)
  local all = {}
  for page in gw:list(kind, args, { page_size = 100 }) do
    local entities = answer.entities(page)
    table.move(entities, 1, #entities, #all + 1, all)
  end
  return all
end

local function named_alike(kind, resource, content)
  for _, member in ipairs(kind.same) do
    if resource[member] ~= content[member] then return false end
  end
  return true
end

-- ---- what this machine has made ----

local function made_key(kind, id)
  return ("made %s %s"):format(kind.name, id)
end

-- M.remember(gw, kind, id, payload hash): for later runs, where the listing has no hash.
function M.remember(gw, kind, id, print)
  id = answer.id(id)
  if id and print then gw:_keep(made_key(kind, id), { text = print, kept = true, at = gw.clock.monotonic() }) end
end

-- ---- comparing ----

-- Whether a listed resource was made from content: true, false, or nil when what is told of it does not say.
local function compare(gw, kind, resource, content, print)
  local theirs = kind.hash and resource[kind.hash]
  if type(theirs) == "string" then return theirs:lower() == print end
  local id = answer.id(resource.id)
  local made = id and gw:_kept(made_key(kind, id))
  if made then return made.text == print end
  local whole = true
  for member, value in pairs(kinds.normal(kind, content)) do
    local told = resource[member]
    if told == nil then
      whole = false
    elseif not diff.equal(told, value) then
      return false
    end
  end
  if whole then return true end
  return nil
end

-- M.matches(gw, kind, args, content, among | nil) -> list of {resource, same_content}, the whole listing.
function M.matches(gw, kind, args, content, among)
  if not kind.same then error(("gateway:find: kind '%s' does not say what names it"):format(kind.name), 3) end
  local all = among or listed(gw, kind, args)
  local print, matches = hash.payload(content), {}
  for _, resource in ipairs(all) do
    if named_alike(kind, resource, content) then
      matches[#matches + 1] = { resource = resource, same_content = compare(gw, kind, resource, content, print) }
    end
  end
  return matches, all
end

-- M.ids(matches) -> their ids, as text.
function M.ids(matches)
  local ids = {}
  for _, match in ipairs(matches) do ids[#ids + 1] = answer.id(match.resource.id) end
  return ids
end

local function is_named(kind, resource, args)
  for member, argument in pairs(kind.listed_by) do
    if tostring(resource[member]) ~= tostring(args[argument]) then return false end
  end
  return true
end

-- M.one(gw, kind, args) -> the listed resource that args name (the version of a template), or nil.
function M.one(gw, kind, args)
  for page in gw:list(kind, args, { page_size = 100 }) do
    for _, resource in ipairs(answer.entities(page)) do
      if is_named(kind, resource, args) then return resource end
    end
  end
end

return M
