-- words.lua - leases told to people: who holds one, since when and until when, and what to do about it.

local errors = require "moongate.error"
local host = require "moongate.host"
local time = require "moongate.time"

local M = {}

-- A time of the store, in ms, to the second: "2026-11-20T10:31:02Z".
function M.clock(ms)
  return (time.iso(ms / 1000):gsub("%.%d+Z$", "Z"))
end

-- "41 s", "3 min", "2 h"
function M.span(ms)
  local s = math.max(0, ms) / 1000
  if s < 120 then return ("%.0f s"):format(s) end
  if s < 7200 then return ("%.0f min"):format(s / 60) end
  return ("%.0f h"):format(s / 3600)
end

-- Whether the holder's process lives: "alive", "gone" or "unknown".
function M.life(row)
  return type(row.info.process) == "table" and host.process_life(row.info.process) or "unknown"
end

-- "held", "expired", or "gone": the process that holds it is.
function M.state(row)
  if row.expires_at <= row.now then return "expired" end
  return M.life(row) == "gone" and "gone" or "held"
end

-- "deploy-index, pid 42 on build-7, run 0198…"
function M.holder(row)
  local parts, p = {}, row.info.process
  if row.info.command then parts[1] = row.info.command end
  if type(p) == "table" then parts[#parts + 1] = ("pid %s on %s"):format(tostring(p.pid), tostring(p.host)) end
  if row.run_id and not row.name:find("run " .. row.run_id, 1, true) then parts[#parts + 1] = "run " .. row.run_id end
  return #parts > 0 and table.concat(parts, ", ") or tostring(row.holder)
end

local function since_until(row)
  return ("since %s; expires in %s unless renewed"):format(M.clock(row.acquired_at),
    M.span(row.expires_at - row.now))
end

local SHOWN = 10

-- Somebody else holds what is wanted: the error of whoever can't wait for it. rows: at least one.
function M.taken(rows)
  local first = rows[1]
  local details = nil
  if #rows > 1 then
    details = {}
    for i, row in ipairs(rows) do
      if i > SHOWN then break end
      details[i] = { field = row.name, message = "locked by " .. M.holder(row) }
    end
  end
  return errors.new {
    code = "conflict", outcome = "not_sent", details = details, held_by = first.holder,
    message = ("%s%s is locked by %s, %s"):format(first.name, #rows > 1 and (" (and %d more)"):format(#rows - 1) or "",
      M.holder(first), since_until(first)),
    hint = "Wait with --wait 5m. If the holder hangs or is dead: moongate lease list, moongate lease break.",
  }
end

-- Others took it and gave it back, again and again, while it was looked at.
function M.busy(name)
  return errors.new {
    code = "conflict", outcome = "not_sent", message = ("the lease on %s keeps changing holders"):format(name),
    hint = "Run this again, or wait with --wait 5m.",
  }
end

-- What was held is so no more. row: as it is now, or nil.
function M.lost(name, row)
  local how = "it was broken (moongate lease break), or it expired and another process took it"
  if row and row.holder then how = ("%s has held it since %s"):format(M.holder(row), M.clock(row.acquired_at)) end
  return errors.new {
    code = "conflict", outcome = "not_sent", lease_lost = true,
    message = ("the lease on %s was lost: %s. Nothing more is written"):format(name, how),
    hint = "Check the outcome of the other run, then run this again.",
  }
end

-- It may have run out while this process stood still; nobody has looked yet.
function M.late(name)
  return errors.new {
    code = "conflict", outcome = "not_sent", lease_lost = true,
    message = ("the lease on %s may have run out: this process, or its store, stood still for too long"):format(name),
    hint = "run this again",
  }
end

return M
