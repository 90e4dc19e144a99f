-- conflict.lua - somebody else wrote: say what, and where asked to, take it up. For write.lua and journaled.lua only.

local diff = require "moongate.diff"
local errors = require "moongate.error"
local kinds = require "moongate.gateway.kinds"

local M = {}

M.UNKNOWN = {} -- in place of a resource: it could not be read

-- Members that both sides changed, as error details.
local function details_of(base, theirs, ours)
  local _, conflicts = diff.merge(base, theirs, ours)
  local details = {}
  for i, c in ipairs(conflicts) do
    details[i] = {
      pointer = c.pointer, field = diff.path(c.pointer), base = c.base, theirs = c.theirs, ours = c.ours,
      message = ("base %s, theirs %s, ours %s"):format(diff.show(c.base, 40), diff.show(c.theirs, 40),
        diff.show(c.ours, 40)),
    }
  end
  return details
end

local function who(theirs)
  local body = theirs and theirs.body
  if type(body) ~= "table" then return "" end
  local name = body.modifiedBy or body.updatedBy
  local when = body.updatedAt or body.dateModified
  return (type(name) == "string" and " by " .. name or "") .. (type(when) == "string" and " at " .. when or "")
end

-- base, theirs and ours as they are compared.
local function sides(w, theirs)
  local ours = w.content
  return kinds.comparable(w.kind, w.base_content, ours), kinds.comparable(w.kind, theirs and theirs.content, ours), ours
end

-- The error of a conflict: what the base was, what they wrote, what we wanted; `lines` is that as a table for people.
-- Notes in w what was found, for resolve.
function M.error(w, theirs, cause)
  w.theirs, w.theirs_known = theirs, true
  local base, content = sides(w, theirs)
  local message
  if w.method == "DELETE" then
    message = ("%s has changed%s since it was read"):format(w.path, who(theirs))
  elseif not theirs and not w.base then
    message = ("%s can't be created (%s), and is not there when it is read"):format(w.path, tostring(cause.message))
  elseif not theirs then
    message = ("%s has been removed since it was read"):format(w.path)
  elseif not w.base then
    message = ("%s already exists: another client created it%s"):format(w.path, who(theirs))
  else
    message = ("%s was modified by another client%s after it was read"):format(w.path, who(theirs))
  end
  local err = errors.new {
    code = "conflict", message = message, method = w.method, path = w.path, status = cause.status,
    correlation_id = cause.correlation_id, attempts = cause.attempts, outcome = "refused",
    details = details_of(base, content, w.content),
    hint = "Compare the changes above, then use --on-conflict=rebase (merge) or overwrite.",
  }
  err.lines = diff.three_columns(base, content, w.content)
  return err
end

local function rebase(w, err)
  if not w.theirs then
    err.hint = "Use --on-conflict=overwrite to create it again."
    error(err, 0)
  end
  local merged, conflicts = diff.merge(sides(w, w.theirs))
  if not merged then
    local names = {}
    for i, c in ipairs(conflicts) do names[i] = diff.path(c.pointer) end
    err.message = ("%s; both changed %s"):format(err.message, table.concat(names, ", "))
    err.hint = "Edit the file, or use --on-conflict=overwrite."
    error(err, 0)
  end
  w.gw.log.warn("%s: modified by another client; rebasing our changes", w.path)
  w.content, w.rebased = merged, true
end

local function overwrite(w)
  w.gw.log.warn("%s: modified by another client; overwriting its state (ETag %s)", w.path,
    w.theirs and w.theirs.etag or "none")
  w.overwrote = w.theirs and w.theirs.etag or nil
end

-- M.resolve(w, err): makes w ready to go again on top of what they wrote, by the policy; or raises.
function M.resolve(w, err)
  if w.untouched then
    w.gw.log.warn("%s: unchanged; retrying", w.path)
  elseif w.on_conflict == "rebase" and w.method ~= "DELETE" then rebase(w, err) else overwrite(w) end
  w.base = w.theirs
  w.base_content = w.theirs and w.gw:_original(w.theirs) or nil
  w.method = w.method == "DELETE" and w.method or (w.base and w.kind.update or w.kind.create)
  w.theirs, w.theirs_known, w.untouched = nil, nil, nil
end

return M
