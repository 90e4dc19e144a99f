-- snapshot.lua - values kept in a file beside the test, to compare with on the next run: tests/x_test.lua has
-- tests/x_test.snap. A new one is written; in CI it is a failure, so that none comes in unseen.
--
-- The file is text, made to be read in a review: a line "=== name", then the value, until the next.
local fs = require "moongate.fs"
local show = require "moongate.test.show"
local text_diff = require "moongate.template.text_diff"

local M = {}

local HEAD = "Made by `moongate test --update-snapshots`.\n\n"

local state -- of the file that runs: path, kept = {name -> text}, seen, counts, changed, update, ci

-- "x_test.lua" -> "x_test.snap"
local function path_of(file) return (file:gsub("%.lua$", "")) .. ".snap" end

-- A line of a value that looks like the head of one is moved to the right.
local function escape(text) return (("\n" .. text):gsub("\n(\\*===)", "\n\\%1"):sub(2)) end
local function unescape(text) return (("\n" .. text):gsub("\n\\(\\*===)", "\n%1"):sub(2)) end

local function read(text)
  local kept, name, lines = {}, nil, {}
  local function finish()
    if name then kept[name] = unescape(table.concat(lines, "\n", 1, #lines - 1)) end -- without the empty line after it
  end
  for line in text:gmatch "([^\n]*)\n" do
    local head = line:match "^=== (.*)$"
    if head then
      finish()
      name, lines = head, {}
    else
      lines[#lines + 1] = line
    end
  end
  finish()
  return kept
end

-- M.begin(file, {update = , ci = })
function M.begin(file, opts)
  local text, err = fs.read(path_of(file))
  if not text and err.code ~= "not_found" then error(err, 0) end
  state = {
    path = path_of(file), kept = read(text or ""), seen = {}, counts = {}, written = 0, update = opts.update,
    ci = opts.ci,
  }
end

-- M.check(test's name, value [, name]) -> true | false, message, lines. A text is kept as it is, anything else as
-- show.value has it.
function M.check(test, value, name)
  if not state then return false, "snapshots need a file of tests" end
  local key = name and test .. ": " .. name or test
  key = key:gsub("%c", " ")
  state.counts[key] = (state.counts[key] or 0) + 1
  if state.counts[key] > 1 then key = key .. " #" .. state.counts[key] end
  local text = type(value) == "string" and value or show.value(value)
  local kept = state.kept[key]
  state.seen[key] = text
  if kept == text then return true end
  if kept == nil and state.ci and not state.update then
    return false, ("snapshot %q not found in %s"):format(key, state.path)
  end
  if kept == nil or state.update then
    state.written = state.written + 1
    return true
  end
  return false, ("the snapshot %q in %s differs (- kept, + got); --update-snapshots takes the new one"):format(key,
    state.path), text_diff.lines(kept, text)
end

-- M.finish(complete) -> {written, removed, unused}: writes what is new. complete: every test of the file has run, so
-- that one that nobody asked for is of no use any more.
function M.finish(complete)
  local s = state
  state = nil
  local out, names, unused = { written = s.written, removed = 0, unused = 0 }, {}, {}
  for name, text in pairs(s.kept) do
    if s.seen[name] == nil then
      if complete then unused[#unused + 1] = name end
      s.seen[name] = text
    elseif not s.update then
      s.seen[name] = text
    end
  end
  if s.update then
    for _, name in ipairs(unused) do s.seen[name] = nil end
    out.removed = #unused
  else
    out.unused = #unused
  end
  if s.written + out.removed == 0 then return out end
  for name in pairs(s.seen) do names[#names + 1] = name end
  table.sort(names)
  if #names == 0 then
    assert(fs.remove(s.path))
    return out
  end
  local parts = { HEAD }
  for _, name in ipairs(names) do parts[#parts + 1] = ("=== %s\n%s\n\n"):format(name, escape(s.seen[name])) end
  assert(fs.write(s.path, table.concat(parts)))
  return out
end

return M
