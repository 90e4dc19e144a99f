-- find.lua - resources that get their ids from the gateway: found in the listing by the members that name them, and
-- told apart by the hash of what they were made from. For gateway.lua and gateway/job.lua.

local hash = require "moongate.hash"
local json = require "moongate.json"

local M = {}

local function listed(gw, kind, args)
  local all = {}
  for page in gw:list(kind, args, { page_size = 100 }) do
    local entities = type(page) == "table" and (page.entities or (json.is_array(page) and page)) or {}
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

-- M.matches(gw, kind, args, content, among | nil) -> list of {resource, same_content}, the whole listing.
function M.matches(gw, kind, args, content, among)
  if not kind.same then error(("gateway:find: kind '%s' does not say what names it"):format(kind.name), 3) end
  local all = among or listed(gw, kind, args)
  local print, matches = hash.payload(content), {}
  for _, resource in ipairs(all) do
    if named_alike(kind, resource, content) then
      local theirs = kind.hash and resource[kind.hash]
      local same = nil
      if type(theirs) == "string" then same = theirs:lower() == print end
      matches[#matches + 1] = { resource = resource, same_content = same }
    end
  end
  return matches, all
end

return M
