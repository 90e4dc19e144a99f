-- intents.lua - intents of the audit log that an earlier life of a run has left without an outcome. For those who find
-- out what became of them.

local scope = require "moongate.scope"

local M = {}

-- The run's open intents, by the number of the record that they were for.
local function load(j, audit)
  local open, outcomes = {}, {}
  local lines = audit.read(nil, { run = j.id }) or {}
  for _, line in ipairs(lines) do
    if line.phase == "outcome" then outcomes[line.intent] = true end
  end
  for _, line in ipairs(lines) do
    if line.phase == "intent" and not outcomes[line.seq] and line.record then
      local list = open[line.record] or {}
      open[line.record] = list
      list[#list + 1] = { seq = line.seq, action = line.action }
    end
  end
  return open
end

-- M.open_of(record, audit) -> list of entries, to be given their outcome. Each is given once.
function M.open_of(rec, audit)
  local j = rec.journal
  if not j.resumed or not audit.read then return {} end
  j.intents = j.intents or load(j, audit)
  local entries = {}
  for i, intent in ipairs(j.intents[rec.seq] or {}) do entries[i] = scope.reopen_intent(intent.seq, intent.action) end
  j.intents[rec.seq] = nil
  return entries
end

return M
