-- sender.lua - brings out what lies in the outbox: those that are due, or all, a few at a time, each once; or on and
-- on, as they come due. For the command line.

local delivery = require "moongate.outbox.delivery"
local rows = require "moongate.outbox.rows"
local task = require "moongate.task"

local M = {}

local AT_ONCE = 8
local PAGE = 200
local POLL = 5 -- seconds: how soon a watch sees what other processes put in

local function empty()
  return { delivered = 0, pending = 0, dead = 0, busy = 0 }
end

-- env: see delivery.send; tell(note, state, row): called for each that was tried.
local function send_page(env, list, mode, counts)
  assert(task.map(list, AT_ONCE, function(row)
    local note, _, state = delivery.take(env, row.id, row.lease_holder, row.leased == 1, { early = mode.early })
    local what = note and state or "busy"
    counts[what] = counts[what] + 1
    if note and env.tell then env.tell(note, state) end
    return true
  end))
end

-- One go at every pending message. opts: due = only those that are due; known = a further condition (rows.pending);
-- limit = how many at most; counts: counted up. -> {delivered, pending, dead, busy = somebody else is at it}
function M.once(env, opts)
  local counts, after, left, seen = opts.counts or empty(), nil, opts.limit or math.huge, {}
  while left > 0 do
    local list = rows.pending(env.db, {
      due = opts.due, known = opts.known, after = after, limit = math.min(PAGE, left),
    })
    if #list == 0 then break end
    after, left = { next_at = list[#list].next_at, id = list[#list].id }, left - #list
    local fresh = {}
    for _, row in ipairs(list) do -- what has failed moves to the end, and is met again there
      if not seen[row.id] then fresh[#fresh + 1] = row end
      seen[row.id] = true
    end
    send_page(env, fresh, { early = not opts.due }, counts)
  end
  return counts
end

-- Goes on until the task is cancelled. Raises when the store can't be used. opts: counts = counted up; poll = seconds;
-- passed(): called after each look; idle(ms until the next one is due) -> whether that is the end.
function M.watch(env, opts)
  local total = opts.counts or empty()
  while true do
    rows.prune(env.db)
    local counts = M.once(env, { due = true })
    for what, n in pairs(counts) do total[what] = total[what] + n end
    if opts.passed then opts.passed() end
    local ms = rows.until_next(env.db)
    local poll = opts.poll or POLL
    if opts.idle and opts.idle(ms) then return total end
    task.sleep(ms and math.min(math.max(ms / 1000, 0.001), poll) or poll)
  end
end

M.empty = empty

return M
