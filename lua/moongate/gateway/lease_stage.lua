-- lease_stage.lua - the stage `leased` of a write: what is written is held, so that no other process writes it
-- meanwhile. For write.lua and for runs, which hold what they are going to write (run:hold).

local errors = require "moongate.error"
local kinds = require "moongate.gateway.kinds"

local M = {}

-- What names a resource that the gateway is still to give an id: "?name=summariser".
local function names_of(kind, content)
  local parts = {}
  for i, member in ipairs(kind.same) do parts[i] = ("%s=%s"):format(member, tostring(content[member])) end
  return "?" .. table.concat(parts, "&")
end

-- M.name_of(gw, kind, args, method, content) -> the name of the lease on what is written; nil when there is nothing
-- that two processes could both write: a POST that makes something new each time.
function M.name_of(gw, kind, args, method, content)
  local suffix, template = "", kind.holds or kinds.readable(kind)
  if method == "POST" and not kind.holds and not (kind.item and kinds.item_path(kind, args)) then
    if not kind.same or type(content) ~= "table" then return nil end
    suffix, template = names_of(kind, content), kind.path
  end
  local base = gw:_base_url()
  return ("resource %s%s%s"):format(kinds.locate(kind, template, args).path, suffix, base and " at " .. base or "")
end

-- The scope that holds what this write needs, and whether it is this write's alone.
local function scope_of(gw)
  if type(gw.leases) == "table" then return gw.leases, false end
  local scope, err
  if gw.leases then
    scope, err = gw.leases()
  else
    scope, err = require("moongate.lease").session()
  end
  if scope then return scope, gw.leases == nil end
  errors.raise {
    code = err.code, outcome = "not_sent", hint = err.hint,
    message = "not sent, because the resource can't be locked: " .. err.message,
  }
end

local function take(scope, name)
  local ok, err
  if scope:holds(name) then ok, err = scope:check(name) else ok, err = scope:take(name) end
  if not ok then error(err, 0) end
end

-- The stage. A run keeps what it holds until its end; a write of a plain script gives it back at once.
function M.leased(w, next)
  if w.gw.leases == false or w.leased then return next(w) end
  local name = M.name_of(w.gw, w.kind, w.args, w.method, w.content)
  if not name then return next(w) end
  local shared, own = scope_of(w.gw)
  local scope <close> = own and shared or nil
  take(shared, name)
  w.leased, w.held = name, shared
  local result = table.pack(shared:while_writing(name, next, w))
  w.leased, w.held = nil, nil
  if scope then scope:release() end
  if not result[1] then error(result[2], 0) end
  return result[2]
end

-- Right before it is sent: whatever came between (a sync, a stopped process), it is still held.
function M.check(w)
  if not w.held then return end
  local ok, err = w.held:still(w.leased)
  if not ok then error(err, 0) end
end

return M
