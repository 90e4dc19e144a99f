-- results.lua - what has come of a queue's prompts, as JSON lines in the order of the input, in memory that does not
-- grow. For cli/work.lua.

local host = require "moongate.host"
local plain = require "moongate.plain"
local task = require "moongate.task"

local M = {}

local PAGE = 500
local EVERY = 0.5 -- seconds between two looks

local OVER = { done = true, failed = true, dead = true }

-- Of a prompt that was given up without an answer: its workers were lost, each time.
local function lost(row)
  local p = plain.decode(row.payload_json)
  return plain.write({
    line = p.line, id = p.id, status = "failed", request_id = row.request_id,
    error = { code = "lost", message = ("discarded: %d workers died with it"):format(row.attempts) },
  })
end

-- M.write(queue, write(text) -> true | nil, err, {follow, json = joined by commas}) -> {results, unfinished}. follow:
-- waits for each, until all that is in the queue is out.
function M.write(queue, write, opts)
  local after, results, unfinished = 0, 0, 0
  while true do
    local rows, parts, waiting = queue:page(after, PAGE), {}, false
    for _, row in ipairs(rows) do
      if OVER[row.state] then
        parts[#parts + 1] = row.result_json or lost(row)
        after = row.seq
      elseif opts.follow then
        waiting = true
        break
      else
        unfinished, after = unfinished + 1, row.seq
      end
    end
    if #parts > 0 then
      local piece = table.concat(parts, opts.json and ",\n" or "\n")
      if opts.json then piece = (results > 0 and ",\n" or "") .. piece else piece = piece .. "\n" end
      assert(write(host.visible(piece)))
      results = results + #parts
    end
    if waiting then
      task.sleep(EVERY)
    elseif #rows < PAGE then
      return { results = results, unfinished = unfinished }
    end
  end
end

return M
