-- hold.lua - what a run holds while it lives: the resources that it writes, so that no other run writes them meanwhile.
-- For workflow.lua and workflow/session.lua.

local lease_stage = require "moongate.gateway.lease_stage"
local sealed = require "moongate.sealed"

local M = {}

-- M.scope(run) -> the run's scope of leases, one for all its tasks; or nil, err.
function M.scope(run)
  run = sealed.open(run)
  if run._scope then return run._scope end
  local scope, err = require("moongate.lease").session {
    run_id = run.id, info = { command = run.name }, note = function(line) run:note(line) end,
  }
  if not scope then return nil, err end
  run._scope = run._scope or scope
  return run._scope
end

local FIELDS = { [1] = true, [2] = true, content = true }

local function names_of(gw, list)
  local names = {}
  for i, what in ipairs(list) do
    for key in pairs(what) do
      if not FIELDS[key] then error(("run:hold: unknown field '%s' in %d"):format(tostring(key), i), 3) end
    end
    local kind = gw:kind(what[1])
    names[#names + 1] = lease_stage.name_of(gw, kind, what[2], kind.create, what.content)
  end
  return names
end

-- run:hold, see workflow/run.lua.
function M.take(run, list)
  local gw = sealed.open(run.gateway)
  if run.dry_run or gw.leases == false then return end
  local names = names_of(gw, list)
  if #names == 0 then return end
  local scope, err = M.scope(run)
  local ok = scope ~= nil
  if scope then ok, err = scope:take(names) end
  if not ok then error(err, 0) end
end

-- At the run's end, whatever it was.
function M.release(run)
  local scope = run._scope
  run._scope = nil
  if scope then scope:release() end
end

return M
