-- conditional: ETags, and the preconditions of a write. A write of what exists needs its current ETag in If-Match (412
-- when it is stale, 409 when it is missing), one with If-None-Match: * creates only (412 when it exists). For the
-- simulator's resources.
local errors = require "moongate.sim.errors"
local hash = require "moongate.hash"
local json = require "moongate.json"

local M = {}

-- The ETag of the version's content.
function M.etag(version, content)
  return ('"%d-%s"'):format(version, hash.sha256(json.encode(content)):sub(1, 16))
end

-- Whether a list of ETags, or "*", names etag. Weak ones never do.
local function names(header, etag)
  if header:match "^%s*%*%s*$" then return true end
  for tag in header:gmatch '[^,%s]+' do
    if tag == etag then return true end
  end
  return false
end

-- etag: the present one, nil where there is nothing; noun: "The index" -> nil | response
function M.check(call, etag, noun)
  local if_match, if_none_match = call.req.headers["if-match"], call.req.headers["if-none-match"]
  if if_none_match and etag and names(if_none_match, etag) then
    return errors.response(call, 412, "precondition.failed", noun .. " exists already.")
  elseif if_match and not etag then
    return errors.response(call, 412, "precondition.failed", noun .. " does not exist, and If-Match was sent.")
  elseif if_match and not names(if_match, etag) then
    return errors.response(call, 412, "precondition.failed", "If-Match does not name the current ETag. " .. noun
      .. " was written by another client.")
  elseif etag and not if_match then
    return errors.response(call, 409, "general.conflict", noun .. " exists: send its ETag in If-Match.")
  end
end

return M
