-- pretty.lua - results for a person at a terminal: a tree of blocks and tests, failures with their place and what
-- differs, and all failures once more at the end when there is much above them.
local fs = require "moongate.fs"
local text = require "moongate.text"

local M = {}
M.__index = M

local MARKS = { passed = "✓", failed = "✗", skipped = "-" }
local COLORS = { passed = "green", failed = "red", skipped = "yellow" }
local SLOW = 0.1 -- seconds from which a test's time is told

function M.new(write, ctx) return setmetatable({ write = write, ctx = ctx, failures = {}, path = {} }, M) end

function M:paint(color, s) return s == "" and "" or self.ctx:paint(1, color, s) end

function M:file_started(file)
  self.path = {}
  self.write(("%s%s\n"):format(self:paint("bold", file.name), file.clock == "virtual"
    and self:paint("dim", "  virtual clock") or ""))
end

function M:text(_, s)
  self.write((s:gsub("([^\n]+)", "    | %1"):gsub("([^\n])$", "%1\n")))
end

-- The blocks that the test stands in, as far as they are not above it already -> what is left of its name, its depth.
function M:blocks(name)
  local path = {}
  name = name:gsub("%c", " ")
  local rest = (name .. " > "):gsub("(.-) > ", function(part)
    path[#path + 1] = part
    return ""
  end)
  local last = table.remove(path)
  for i, part in ipairs(path) do
    if self.path[i] ~= part then
      self.write(("%s%s\n"):format(("  "):rep(i), part))
      self.path = table.move(path, 1, i, 1, {})
    end
  end
  self.path = path
  return (last or name) .. rest, #path
end

local function times(t)
  local parts = {}
  if t.seconds >= SLOW then parts[1] = text.seconds(t.seconds) end
  if t.clock and t.clock > math.max(60, t.seconds * 10) then parts[#parts + 1] = text.seconds(t.clock) .. " virtual" end
  if t.again then parts[#parts + 1] = t.again .. " times again" end
  return #parts > 0 and " (" .. table.concat(parts, ", ") .. ")" or ""
end

-- The line of the source that a failure points at.
local function source_line(where)
  local file, number = tostring(where):match "^(.*):(%d+)$"
  local source = file and fs.read(file, 4 << 20)
  if not source then return nil end
  local n = 0
  for line in (source .. "\n"):gmatch "([^\n]*)\n" do
    n = n + 1
    if n == tonumber(number) then return line:match "^%s*(.-)%s*$" end
  end
end

local LINE_COLORS = { ["+"] = "green", ["-"] = "red", ["~"] = "yellow" }

function M:failure(t, indent)
  local f = t.failure
  local pad = ("  "):rep(indent)
  self.write(pad .. self:paint("red", f.message:gsub("\n", "\n" .. pad)) .. "\n")
  for _, line in ipairs(f.lines or {}) do
    local color = LINE_COLORS[line:match "^%s*(%S)"]
    self.write(pad .. "  " .. (color and self:paint(color, line) or line) .. "\n")
  end
  local source = f.where and source_line(f.where)
  if f.where then
    self.write(pad .. self:paint("dim", f.where .. (source and ":  " .. source or "")) .. "\n")
  end
  if f.traceback then self.write(pad .. f.traceback:gsub("\n", "\n" .. pad) .. "\n") end
end

function M:test(file, t)
  local name, depth = self:blocks(t.name)
  local pad = ("  "):rep(depth + 1)
  local why = t.status == "skipped" and t.why and t.why ~= "" and self:paint("dim", "  " .. t.why) or ""
  self.write(("%s%s %s%s%s\n"):format(pad, self:paint(COLORS[t.status], MARKS[t.status]), name,
    self:paint("dim", times(t)), why))
  if t.status ~= "failed" then return end
  self:failure(t, depth + 3)
  self.failures[#self.failures + 1] = { file = file.name, test = t }
end

function M.file_ended() end

function M:finished(summary)
  if #self.failures > 0 and summary.total > 20 then
    self.write "\n"
    for i, f in ipairs(self.failures) do
      self.write(("%d) %s\n"):format(i, self:paint("bold", f.test.name)))
      self:failure(f.test, 1)
    end
  end
  local parts = {}
  for _, status in ipairs { "passed", "failed", "skipped" } do
    local n = summary[status]
    if n > 0 or status == "passed" then
      local part = ("%d %s"):format(n, status)
      parts[#parts + 1] = n > 0 and self:paint(COLORS[status], part) or part
    end
  end
  self.write(("\n%s in %s, %s\n"):format(table.concat(parts, ", "), text.count(summary.files, "file"),
    text.seconds(summary.seconds)))
  if summary.seed then self.write(("shuffled with --seed %d\n"):format(summary.seed)) end
  for _, note in ipairs(summary.notes) do self.write(note .. "\n") end
end

return M
