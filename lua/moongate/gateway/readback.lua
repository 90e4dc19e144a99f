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

-- Whether theirs is what writing `content` makes.
function M.holds(w, theirs, content)
  if w.method == "DELETE" then return theirs == nil end
  return theirs ~= nil and content ~= nil
    and diff.equal(kinds.normal(w.kind, theirs.content), kinds.normal(w.kind, content))
end

function M.same_version(a, b)
  if not a or not b then return a == b end
  return a.etag ~= nil and a.etag == b.etag
end

-- Where there are no ETags: it holds what it did when it was read.
function M.same_content(w, theirs)
  return theirs ~= nil and w.base ~= nil and w.base.etag == nil and diff.equal(theirs.content, w.base_content)
end

return M
