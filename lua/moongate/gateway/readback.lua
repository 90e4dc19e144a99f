-- readback.lua - what a resource holds now, beside what a write was to make of it and what it was based on. For
-- write.lua and its parts only.

local diff = require "moongate.diff"
local kinds = require "moongate.gateway.kinds"

local M = {}

local READ_ANYWAY = 5 -- seconds that looking a write up may take when its own time is over

-- The resource as it is now, or nil. A failure is the read's own.
function M.read(w)
  local left = w.deadline - w.gw.clock.monotonic()
  return w.gw:_read(w.kind, w.args, { fresh = true, deadline = math.max(left, READ_ANYWAY) })
end

-- Of a resource that is only known from the listing: what that tells of it is so.
local function tells(theirs, content)
  for member, value in pairs(type(theirs.content) == "table" and theirs.content or {}) do
    if content[member] ~= nil and not diff.equal(value, content[member]) then return false end
  end
  return true
end

-- Whether theirs is what writing `content` makes.
function M.holds(w, theirs, content)
  if w.method == "DELETE" then return theirs == nil end
  if theirs and theirs.listed and type(content) == "table" then
    return tells(theirs, content) and not (w.base and tells(theirs, w.base_content)) -- it must tell the two apart
  end
  return theirs ~= nil and content ~= nil
    and diff.equal(kinds.comparable(w.kind, theirs.content, content), kinds.comparable(w.kind, content, theirs.content))
end

-- M.strong(etag) -> the form that If-Match takes. A proxy that compresses makes "1" of the gateway's into W/"1".
function M.strong(etag)
  return etag and (etag:match '^W/(".*")$' or etag)
end

function M.same_version(a, b)
  if not a or not b then return a == b end
  return a.etag ~= nil and M.strong(a.etag) == M.strong(b.etag)
end

-- Nobody has written: the version and the content are what they were when it was read.
function M.untouched(w, theirs)
  return theirs ~= nil and w.base ~= nil and M.same_version(theirs, w.base)
    and diff.equal(theirs.content, w.base_content)
end

-- Where there are no ETags: it holds what it did when it was read.
function M.same_content(w, theirs)
  return theirs ~= nil and w.base ~= nil and w.base.etag == nil and diff.equal(theirs.content, w.base_content)
end

return M
