-- list.lua - listings, page by page: by the nextUri that a page names, else by page number. For gateway.lua only.

local answer = require "moongate.gateway.answer"
local errors = require "moongate.error"
local json = require "moongate.json"
local kinds = require "moongate.gateway.kinds"
local merged = require "moongate.merged"

local M = {}

local MAX_PAGES = 10000

-- The path and query of a page's nextUri. A full URL must stay on the gateway: the credential must not travel.
local function next_path(client, uri)
  if uri:sub(1, 1) == "/" and uri:sub(1, 2) ~= "//" then return uri end
  local base = client.base_url
  if base and uri:sub(1, #base) == base and uri:sub(#base + 1, #base + 1) == "/" then return uri:sub(#base + 1) end
  errors.raise { code = "protocol", message = ("the listing's nextUri leaves the gateway: %s"):format(uri) }
end

-- An empty page ends it, whatever its total says.
local function more_pages(body, number)
  if #answer.items(body) == 0 then return false end
  if math.type(body.pageCount) == "integer" then return number < body.pageCount end
  if math.type(body.total) == "integer" and math.type(body.pageSize) == "integer" then
    return number * body.pageSize < body.total
  end
  return false
end

-- M.pages(gw, path, opts [, kind]): see gateway.lua. kind: whose listing it is, for hints.
function M.pages(gw, path, opts, kind)
  local request = {
    method = "GET", path = path, params = opts.params, query = opts.query, family = opts.family or "other",
    deadline = opts.deadline,
  }
  local number, seen, done = 1, {}, false
  return function()
    if done then return nil end
    if number > MAX_PAGES then
      errors.raise { code = "protocol", method = "GET", path = path, message = "the listing does not end" }
    end
    local where = kinds.locate({ title = "listing" }, request.path, request.params).path
    local body = answer.decoded(gw:_send(request, kind), "GET", where)
    local uri = type(body) == "table" and body.nextUri
    if type(uri) == "string" and uri ~= "" then
      local place = next_path(gw._client, uri)
      if seen[place] then
        errors.raise {
          code = "protocol", method = "GET", path = place, message = "the listing goes in a circle",
        }
      end
      seen[place] = true
      request = { method = "GET", path = place, family = request.family, deadline = opts.deadline }
    elseif type(body) == "table" and (uri == nil or uri == json.null) and more_pages(body, number) then
      local query = merged(opts.query)
      query.pageNumber = number + 1
      request.query = query
    else
      done = true
    end
    number = number + 1
    return body
  end
end

-- M.of_kind(gw, kind, args, opts) -> iterator over the pages of a kind's listing.
function M.of_kind(gw, kind, args, opts)
  if not kind.list then error(("gateway:list: kind '%s' has no listing"):format(kind.name), 3) end
  local query = merged(opts.query)
  query.pageSize = opts.page_size or query.pageSize
  return M.pages(gw, kind.list, {
    params = kinds.locate(kind, kind.list, args).params, query = next(query) and query or nil, family = kind.family,
    deadline = opts.deadline,
  }, kind)
end

return M
