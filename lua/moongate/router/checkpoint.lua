-- checkpoint.lua - how many results of a run of prompts are out, kept in the store about once a second, so that the
-- run, taken up again, goes on behind them. For router/stream.lua.
--
-- Results come out in order, so a number says it all. What was written after the last checkpoint, at most a second of
-- it, is written again when the process was killed; when it was asked to end there is none of that.

local closing = require "moongate.closing"
local errors = require "moongate.error"
local plain = require "moongate.plain"

local M = {}

local KIND = "route-prompts"
local KEPT_MS = 30 * 86400 * 1000

local Checkpoint = {}
Checkpoint.__index = Checkpoint

local function check_input(kept, input)
  if not (kept.input and input) or (kept.input.size == input.size and kept.input.mtime == input.mtime) then return end
  errors.raise {
    code = "conflict", outcome = "not_sent",
    message = ("the file of prompts is not what it was when %d of its results were written"):format(kept.out),
    hint = "Resume the run with the original file, or start a new run.",
  }
end

-- M.open(db, run id, state() -> {out = results written, …: what is to be kept}, input = {size, mtime} | nil: no file)
-- -> checkpoint; its field kept is what the run's last life has left, or nil. Raises when the input is another.
function M.open(db, id, state, input)
  local self = setmetatable({ db = db, id = id, state = state, input = input, saved = 0 }, Checkpoint)
  local row = assert(db:exec("SELECT value_json FROM cells WHERE kind = $1 AND key = $2", KIND, id))[1]
  if row then
    self.kept = assert(plain.decode(row.value_json))
    check_input(self.kept, input)
    self.saved = self.kept.out
  end
  closing.add("noting how many results are out", function() if not self.over then self:save() end end)
  return self
end

-- Keeps how far it is, if it has got any further.
function Checkpoint:save()
  local now = self.state()
  if now.out == self.saved then return end
  now.input = self.input
  assert(self.db:exec(([[INSERT INTO cells (kind, key, value_json, updated_at, expires_at)
    VALUES ($1, $2, $3, {now}, {now} + %d) ON CONFLICT (kind, key) DO UPDATE SET value_json = excluded.value_json,
    updated_at = excluded.updated_at, expires_at = excluded.expires_at]]):format(KEPT_MS), KIND, self.id,
    plain.write(now)))
  self.saved = now.out
end

-- The run has come to its end: all results are out, and there is nothing to take up.
function Checkpoint:finish()
  self.over = true
  assert(self.db:exec("DELETE FROM cells WHERE kind = $1 AND key = $2", KIND, self.id))
end

return M
