-- sender.lua - brings out what lies in the outbox: those that are due, or all, a few at a time, each once; or on and
-- on, as they come due. For the command line.

local delivery = require "moongate.outbox.delivery"
local messages = require "moongate.queue.kinds.message"
local task = require "moongate.task"

local M = {}

local AT_ONCE = 8
local PAGE = 200
local POLL = 5 -- seconds: how soon a watch sees what other processes put in

local WORDS = { done = "delivered", waiting = "pending", dead = "dead" } -- what a go counts, by the message's state

-- M.count(counts, state): one more that is in that state now.
function M.count(counts, state)
  local what = WORDS[state]
  counts[what] = counts[what] + 1
end

local function empty()
  return { delivered = 0, pending = 0, dead = 0, busy = 0 }
end

-- env: see delivery.send; tell(note, state, row): called for each that was tried.
local function send_page(env, list, mode, counts)
  assert(task.map(list, AT_ONCE, function(row)
    local note, _, state = delivery.take(env, row.id, row.lease_holder, row.leased, { early = mode.early })
    if note then M.count(counts, state) else counts.busy = counts.busy + 1 end
    if note and env.tell then env.tell(note, state) end
    return true
  end))
end

-- One go at every pending message. opts: due = only those that are due; known(row) = whether it is to go out from here;
-- limit = maximum number of them; counts: counted up. -> {delivered, pending, dead, busy = somebody else is at it}
function M.once(env, opts)
  local counts, after, left, seen = opts.counts or empty(), nil, opts.limit or math.huge, {}
  while left > 0 do
    local list = messages.pending(env.db, { due = opts.due, after = after, limit = PAGE })
    if #list == 0 then break end
    after = list[#list]
    local fresh = {}
    for _, row in ipairs(list) do -- what has failed moves to the end, and is met again there
      if not seen[row.id] and left > 0 and (not opts.known or opts.known(row)) then
        fresh[#fresh + 1], left = row, left - 1
      end
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
    messages.prune(env.db)
    local counts = M.once(env, { due = true })
    for what, n in pairs(counts) do total[what] = total[what] + n end
    if opts.passed then opts.passed() end
    local ms = messages.until_next(env.db)
    local poll = opts.poll or POLL
    if opts.idle and opts.idle(ms) then return total end
    task.sleep(ms and math.min(math.max(ms / 1000, 0.001), poll) or poll)
  end
end

M.empty = empty

return M
