-- tap.lua - results as the Test Anything Protocol has them.
local M = {}
M.__index = M

function M.new(write) return setmetatable({ write = write, count = 0 }, M) end

function M:comment(text)
  self.write("# " .. tostring(text):gsub("\n$", ""):gsub("\n", "\n# ") .. "\n")
end

function M:file_started(file, of)
  if of > 1 then self:comment(file.name) end
end

-- What a test printed itself: a comment, so that no reader takes it for a result.
function M:text(_, text) self:comment(text) end

local function line(s) return (s:gsub("[%c#]", " ")) end

function M:test(_, t)
  self.count = self.count + 1
  local state = t.status == "failed" and "not ok" or "ok"
  local skip = t.status == "skipped" and " # SKIP " .. line(t.why or "") or ""
  self.write(("%s %d - %s%s\n"):format(state, self.count, line(t.name), skip))
  if t.again then self:comment(("run %d times again"):format(t.again)) end
  local f = t.failure
  if not f then return end
  self:comment((f.where and f.where .. ": " or "") .. f.message)
  for _, l in ipairs(f.lines or {}) do self:comment("  " .. l) end
  if f.traceback then self:comment(f.traceback) end
end

function M.file_ended() end

function M:finished(summary)
  self.write(("1..%d\n"):format(self.count))
  if summary.failed > 0 then self:comment(("%d of %d failed"):format(summary.failed, summary.total)) end
  if summary.seed then self:comment(("shuffled with --seed %d"):format(summary.seed)) end
  for _, note in ipairs(summary.notes) do self:comment(note) end
end

return M
