-- answer.lua - what the parts of the gateway module share: the body of an answer, and the check of options' names.

local errors = require "moongate.error"
local http = require "moongate.http"
local json = require "moongate.json"

local M = {}

local LENIENT = { lenient = true }

-- What an answer that is not JSON is instead, and what to do: a login page, say, or a packing that nobody asked for.
local function not_json(response, err)
  local headers = response.headers or {}
  local packed, kind = headers["content-encoding"], headers["content-type"]
  if packed and not packed:lower():find "^%s*x?%-?gzip%s*$" then
    return ("the answer is encoded as %s, which was not asked for"):format(packed),
      "Have the server, or the proxy before it, obey Accept-Encoding."
  end
  local said = response.body:find "^%s*<" and http.reason(response.body, kind).message
  if not said then return err.message end
  return ("the answer is not JSON but HTML: %s"):format(said),
    "A login page or a proxy may have answered: check the region, or the URL of the API host."
end

-- M.decoded(response, method, path) -> the body; nil when there is none. Raises "protocol" when it is not JSON.
function M.decoded(response, method, path)
  if response.body == "" then return nil end
  local body, err = response:json()
  if body == nil then
    local message, hint = not_json(response, err)
    errors.raise {
      code = "protocol", method = method, path = path, status = response.status,
      correlation_id = response.correlation_id,
      message = message, hint = hint,
    }
  end
  return body
end

-- M.redirected(response) -> the message for an answer of 3xx, which is not followed. The query of its Location is left
-- out: a token may be in it.
function M.redirected(response)
  local location = response.headers and response.headers["location"]
  local to = location and " to " .. location:gsub("[?#].*$", "?…") or ""
  return ("answered %d: redirects are not followed%s"):format(response.status, to)
end

-- M.reason(err) -> its message and what its details say, on one bounded line: for the audit log.
function M.reason(err)
  local parts, size = {}, 0
  for _, detail in ipairs(type(err.details) == "table" and err.details or {}) do
    local text = type(detail) == "table" and tostring(detail.message or detail.code or "?") or tostring(detail)
    local field = type(detail) == "table" and (detail.field or detail.pointer)
    parts[#parts + 1] = field and field ~= "" and ("%s: %s"):format(field, text) or text
    size = size + #parts[#parts]
    if size > 2000 then break end
  end
  local message = tostring(err.message or err.code)
  return #parts > 0 and ("%s (%s)"):format(message, table.concat(parts, "; ")) or message
end

-- M.object(body) -> its members; none when it is no object. A list of one object stands for that.
function M.object(body)
  if type(body) ~= "table" then return {} end
  if not json.is_array(body) then return body end
  return #body == 1 and type(body[1]) == "table" and not json.is_array(body[1]) and body[1] or {}
end

-- M.id(value) -> the text of an id, whatever a gateway makes of ids; nil when it is none.
function M.id(value)
  if type(value) == "string" then return value ~= "" and value or nil end
  if type(value) == "boolean" then return tostring(value) end
  return type(value) == "number" and json.encode(value, LENIENT) or nil
end

-- M.items(page) -> the list that a page of a listing holds. The page may be the list itself, hold it under another name
-- than `entities`, or null in its place when it is empty.
function M.items(page)
  local found = page
  if type(page) == "table" and not json.is_array(page) then
    found = page.entities
    if type(found) ~= "table" then
      for _, value in pairs(page) do
        if json.is_array(value) then
          if type(found) == "table" then return {} end -- which of them?
          found = value
        end
      end
    end
  end
  return type(found) == "table" and found or {}
end

-- M.entities(page) -> those of its items that are objects.
function M.entities(page)
  local list = {}
  for _, entity in ipairs(M.items(page)) do
    if type(entity) == "table" then list[#list + 1] = entity end
  end
  return list
end

return M
