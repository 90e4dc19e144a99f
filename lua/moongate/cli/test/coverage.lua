-- coverage.lua - which lines of a user's Lua files run. Each file is loaded with a counter before the first statement
-- of every line, so that all lines keep their numbers; a line without one has nothing to run.
local fs = require "moongate.fs"
local host = require "moongate.host"
local json = require "moongate.json"
local parse = require "moongate.source.parse"
local sandbox = require "moongate.sandbox"
local walk = require "moongate.source.walk"

local M = {}

local FILE_MAX = 16 << 20
local COUNTER = "__coverage" -- a name that no script has, in its environment and as a local of its chunk

-- ---- where tests run ----

-- The places of statements in a source, {offset, line} each, in order.
local function statements(source)
  local places, seen = {}, {}
  walk(parse.chunk(source), function(node)
    if node.starts and not seen[node] then
      seen[node] = true
      places[#places + 1] = node.starts
    end
  end)
  table.sort(places, function(a, b) return a.at < b.at end)
  return places
end

-- M.instrument(source) -> the source with its counters, the lines they stand on.
function M.instrument(source)
  if source:sub(1, 1) == "#" then source = "--" .. source:sub(3) end
  local parts, lines, done = { ("local %s = %s; "):format(COUNTER, COUNTER) }, {}, 1
  for _, place in ipairs(statements(source)) do
    if not lines[place.line] then
      parts[#parts + 1] = source:sub(done, place.at - 1)
      parts[#parts + 1] = ("%s(%d);"):format(COUNTER, place.line)
      lines[place.line] = true
      done = place.at
    end
  end
  parts[#parts + 1] = source:sub(done)
  return table.concat(parts), lines
end

local counts = {} -- path -> line -> how often

local function is_test(path)
  local name = path:match "[^/]*$"
  return name:find "^test_.+%.lua$" ~= nil or name:find "_test%.lua$" ~= nil
end

-- As host.load_file, with counters.
local function load_file(path, env, own)
  if is_test(path) then return host.load_file(path, env, own) end
  local source, err = fs.read(path, FILE_MAX)
  if not source then return nil, err end
  if not load(source:gsub("^#[^\n]*", ""), "=f", "t") then return host.load_file(path, env, own) end
  local text, lines = M.instrument(source)
  local count = counts[path] or {}
  counts[path] = count
  for line in pairs(lines) do count[line] = count[line] or 0 end
  rawset(env, COUNTER, function(line) count[line] = count[line] + 1 end)
  return host.load_chunk(text, "@" .. path, env)
end

-- From here on, in this process.
function M.start() sandbox.load_file = load_file end

-- What was counted: {path = {{line, count}, …}}
function M.counted()
  local out = {}
  for path, count in pairs(counts) do
    local list = json.array {}
    for line, n in pairs(count) do list[#list + 1] = json.array { line, n } end
    out[path] = list
  end
  return out
end

-- ---- where they are started ----

-- M.add(total, counted, home): adds what one process has counted. total: path -> line -> count.
function M.add(total, counted, home)
  for path, list in pairs(counted or {}) do
    path = path:gsub("^%./", "")
    if home and path:sub(1, 1) ~= "/" then path = home .. "/" .. path end
    total[path] = total[path] or {}
    for _, pair in ipairs(list) do
      total[path][pair[1]] = (total[path][pair[1]] or 0) + pair[2]
    end
  end
end

local function sorted(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

-- Lines that nothing ran, those next to each other as one: "12-15 20".
local function missing(count, lines)
  local out, first, last = {}, nil, nil
  local function close()
    if first then out[#out + 1] = first == last and tostring(first) or first .. "-" .. last end
    first = nil
  end
  for _, line in ipairs(lines) do
    if count[line] == 0 then
      first, last = first or line, line
    else
      close()
    end
  end
  close()
  return table.concat(out, " ")
end

-- M.summary(total) -> list of {file, lines, hit, percent, missing}, by name, and one for all of them.
function M.summary(total)
  local out, all = {}, { file = "all", lines = 0, hit = 0, missing = "" }
  for i, path in ipairs(sorted(total)) do
    local lines = sorted(total[path])
    local hit = 0
    for _, line in ipairs(lines) do hit = hit + (total[path][line] > 0 and 1 or 0) end
    out[i] = { file = path, lines = #lines, hit = hit, missing = missing(total[path], lines) }
    all.lines, all.hit = all.lines + #lines, all.hit + hit
  end
  for _, row in ipairs { all, table.unpack(out) } do
    row.percent = row.lines == 0 and 100 or 100 * row.hit / row.lines
  end
  return out, all
end

-- M.table(total) -> lines of text.
function M.table(total)
  local rows, all = M.summary(total)
  if #rows == 0 then return { "no Lua file but tests was loaded" } end
  local width = 4
  for _, row in ipairs(rows) do width = math.max(width, #row.file) end
  local out = { ("%-" .. width .. "s  lines   hit      %%  not run"):format "file" }
  rows[#rows + 1] = all
  for _, row in ipairs(rows) do
    out[#out + 1] = (("%-" .. width .. "s  %5d %5d  %5.1f  %s"):format(row.file, row.lines, row.hit, row.percent,
      row.missing):gsub("%s+$", ""))
  end
  return out
end

-- M.lcov(total) -> text, as genhtml and CI servers read it.
function M.lcov(total)
  local out = {}
  for _, path in ipairs(sorted(total)) do
    local hit, lines = 0, sorted(total[path])
    out[#out + 1] = "TN:\nSF:" .. path
    for _, line in ipairs(lines) do
      hit = hit + (total[path][line] > 0 and 1 or 0)
      out[#out + 1] = ("DA:%d,%d"):format(line, total[path][line])
    end
    out[#out + 1] = ("LF:%d\nLH:%d\nend_of_record"):format(#lines, hit)
  end
  return #out > 0 and table.concat(out, "\n") .. "\n" or ""
end

return M
