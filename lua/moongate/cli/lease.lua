-- lease.lua - `moongate lease list|break`: what is held, and taking it from its holder.
local audit = require "moongate.audit"
local errors = require "moongate.error"
local fail = require "moongate.fail"
local json = require "moongate.json"
local rows = require "moongate.lease.rows"
local store = require "moongate.store"
local time = require "moongate.time"
local words = require "moongate.lease.words"

local M = {}

local function held()
  local db, err = store.session()
  if not db then error(err, 0) end
  local list
  list, err = rows.list(db)
  if not list then error(err, 0) end
  return list, db
end

local function data(row)
  local p = type(row.info.process) == "table" and row.info.process or {}
  return {
    name = row.name, state = words.state(row), command = row.info.command, run_id = row.run_id, host = p.host,
    pid = p.pid, fence = row.fence, acquired_at = time.iso(row.acquired_at / 1000),
    expires_at = time.iso(row.expires_at / 1000),
  }
end

local function line(ctx, row)
  local state, left = words.state(row), words.span(math.abs(row.expires_at - row.now))
  local who, since = words.holder(row), words.clock(row.acquired_at)
  local said = ("held by %s since %s; expires in %s unless renewed"):format(who, since, left)
  if state == "gone" then said = ("left by %s, which has died; held since %s"):format(who, since) end
  if state == "expired" then said = ("expired %s ago; held by %s since %s"):format(left, who, since) end
  return ("%s\n  %s"):format(row.name, ctx:paint(1, state == "held" and "green" or "dim", said))
end

function M.list(ctx)
  local list = held()
  local lines, out = {}, json.array {}
  for i, row in ipairs(list) do
    lines[i], out[i] = line(ctx, row), data(row)
  end
  ctx:result({ leases = out }, #lines > 0 and table.concat(lines, "\n") or "no leases")
end

-- The one lease that a person means.
local function find(list, name)
  local found = {}
  for _, row in ipairs(list) do
    if row.name == name then return row end
    if row.name:find(name, 1, true) then found[#found + 1] = row end
  end
  if #found == 1 then return found[1] end
  local details = {}
  for i, row in ipairs(found) do details[i] = { message = row.name } end
  errors.raise {
    code = #found == 0 and "not_found" or "usage", details = #found > 0 and details or nil,
    message = #found == 0 and ("no lease matches %q"):format(name)
      or ("%q could be %d leases"):format(name, #found),
    hint = "Run `moongate lease list`.",
  }
end

function M.break_(ctx, args)
  local list, db = held()
  local found, out, lines, seen = {}, json.array {}, {}, {}
  for _, name in ipairs(args.name) do
    if name == "" then fail.usage("a lease's name is empty") end
    local row = find(list, name)
    if not seen[row.name] then found[#found + 1] = row end
    seen[row.name] = true
  end
  for i, row in ipairs(found) do
    local done, err = ctx.opts.dry_run or false, nil
    if not ctx.opts.dry_run then
      assert(audit.event {
        action = "lease_broken", lease = row.name, holder = row.holder, run_id = row.run_id, state = words.state(row),
      })
      done, err = rows.break_one(db, row)
    end
    if done == nil then error(err, 0) end
    out[i] = data(row)
    out[i].broken = done and not ctx.opts.dry_run
    lines[i] = ("%s: %s %s"):format(row.name, ctx.opts.dry_run and "would be taken from" or done and "taken from"
      or "was already released by", words.holder(row))
  end
  ctx:result({ leases = out }, table.concat(lines, "\n"))
end
M["break"] = M.break_

return M
