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

-- See Gateway:confirm.
function M.read_back(gw, kind, args, content, result, what)
  local now = gw:get(kind, args, { fresh = true })
  local details = now and missing(kind, content, now.content) or {}
  if now and #details == 0 then return now end
  local moved = now and result.etag and now.etag ~= result.etag
  error(errors.new {
    code = "verify", details = details, method = "GET",
    path = kinds.locate(kind, kinds.readable(kind), args).path, correlation_id = now and now.correlation_id or nil,
    message = ("%s was written, but %s%s"):format(what,
      now and "reads back otherwise" or "is not there when read back",
      moved and " (its ETag has changed: somebody wrote after us)" or ""),
    hint = "look at what the gateway holds before writing again",
  }, 0)
end

return M
