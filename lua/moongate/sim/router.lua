-- router: path templates, "/a/{id}/b" -> route and parameters. A parameter is one segment, not empty, percent-
-- decoded, and valid UTF-8.
local httpd = require "moongate.httpd"

local M = {}
M.__index = M

function M.new()
  return setmetatable({ routes = {} }, M)
end

local function split(path)
  local segments = {}
  for segment in path:gmatch "/([^/]*)" do segments[#segments + 1] = segment end
  return segments
end

-- route: { method, template, handler =, ... }
function M:add(route)
  local segments = split(route[2])
  for i, segment in ipairs(segments) do
    local name = segment:match "^{(.+)}$"
    if name then segments[i] = { name = name } end
  end
  self.routes[#self.routes + 1] = { route = route, segments = segments }
end

local function match(wanted, got)
  if #wanted ~= #got then return nil end
  local params = {}
  for i, segment in ipairs(wanted) do
    if type(segment) == "string" then
      if segment ~= got[i] then return nil end
    else
      local value = httpd.unescape(got[i])
      if not value or value == "" then return nil end
      params[segment.name] = value
    end
  end
  return params
end

local function is_text(params)
  for _, value in pairs(params) do
    if not utf8.len(value) then return false end
  end
  return true
end

-- path as it was sent -> route, params | nil, methods that the path does know (empty: there is no such path), its
-- template. methods.malformed: the path has bytes that are not UTF-8
function M:find(method, path)
  local got, methods, template = split(path), {}, nil
  for _, entry in ipairs(self.routes) do
    local params = match(entry.segments, got)
    if params and not is_text(params) then return nil, { malformed = true }, entry.route[2] end
    if params then
      if entry.route[1] == method or (method == "HEAD" and entry.route[1] == "GET") then return entry.route, params end
      methods[#methods + 1] = entry.route[1]
      template = entry.route[2]
    end
  end
  return nil, methods, template
end

return M
