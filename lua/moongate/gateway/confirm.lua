-- confirm.lua - reads back what was written. For gateway.lua only.

local diff = require "moongate.diff"
local errors = require "moongate.error"
local kinds = require "moongate.gateway.kinds"

local M = {}

-- What of `content` is not so in `held`. Members that the gateway has added by itself are left alone.
local function missing(kind, content, held)
  local details = {}
  for _, c in ipairs(diff.compare(kinds.comparable(kind, content, held), kinds.comparable(kind, held, content))) do
    if c.op ~= "add" then
      details[#details + 1] = {
        pointer = c.pointer, field = diff.path(c.pointer),
        message = ("written %s, read back %s"):format(diff.show(c.from), diff.show(c.to)),
      }
    end
  end
  return details
end

-- Whether the answer to the write itself shows what was applied, where there was nothing to read before it either: a
-- gateway that does not serve the path for reading answers 404 before and after.
local function shown(kind, content, result)
  if result.based then return false end
  if result.http_status == 200 then return true end
  local body = kinds.content(kind, result.body)
  return type(body) == "table" and #missing(kind, content, body) == 0
end

-- See Gateway:confirm.
function M.read_back(gw, kind, args, content, result, what)
  local now = gw:get(kind, args, { fresh = true })
  local details = now and missing(kind, content, now.content) or {}
  if now and #details == 0 then return now end
  if not now and shown(kind, content, result) then
    gw.log.warn("%s was written, and can't be read back: the gateway does not serve %s", what,
      kinds.locate(kind, kinds.readable(kind), args).path)
    return { kind = kind.name, args = args, content = content, etag = result.etag, unread = true }
  end
  local moved = now and result.etag and now.etag ~= result.etag
  errors.raise {
    code = "verify", details = details, method = "GET",
    path = kinds.locate(kind, kinds.readable(kind), args).path, correlation_id = now and now.correlation_id or nil,
    message = ("%s was written, but %s%s"):format(what,
      now and "reads back otherwise" or "is not there when read back",
      moved and " (its ETag has changed: another client wrote after us)" or ""),
    hint = "Check the resource at the gateway before writing again.",
  }
end

return M
