-- files.lua - which files of tests there are, and how each wants to run.
local errors = require "moongate.error"
local fs = require "moongate.fs"
local lexer = require "moongate.cli.lexer"

local M = {}

local FILE_MAX, DEPTH_MAX, ABOVE_MAX = 16 << 20, 32, 64
local PROJECT = "moongate.lua"

-- "test_x.lua" and "x_test.lua" are tests.
local function is_test(name)
  return name:find "^test_.+%.lua$" ~= nil or name:find ".+_test%.lua$" ~= nil
end

local function kind_of(path)
  local stat = fs.stat(path)
  return stat and stat.type
end

local function below(folder, name)
  return folder == "." and name or (folder:gsub("/+$", "")) .. "/" .. name
end

local function walk(folder, deep, out, depth)
  if depth > DEPTH_MAX then return end
  local names, err = fs.list(folder)
  if not names then error(err, 0) end
  for _, name in ipairs(names) do
    local path = below(folder, name)
    if is_test(name) and kind_of(path) == "file" then
      out[#out + 1] = path
    elseif deep and not name:find "^%." and name ~= "node_modules" and kind_of(path) == "directory" then
      walk(path, deep, out, depth + 1)
    end
  end
end

-- M.collect(paths) -> files, each once. A folder: the tests in and below it. No paths: those in the folder we are in,
-- and in and below ./tests.
function M.collect(paths)
  local found, files, seen = {}, {}, {}
  if #paths == 0 then
    walk(".", false, found, 0)
    if kind_of "tests" == "directory" then walk("tests", true, found, 0) end
  end
  for _, path in ipairs(paths) do
    local kind = kind_of(path)
    if not kind then
      error(errors.new { code = "usage", message = ("there is no file or folder %s"):format(path) }, 0)
    end
    if kind == "directory" then walk(path, true, found, 0) else found[#found + 1] = path end
  end
  for _, file in ipairs(found) do
    if not seen[file] then files[#files + 1], seen[file] = file, true end
  end
  return files
end

local function calls_it(text)
  if not load(text:gsub("^#[^\n]*", ""), "=t", "t") then return false end
  local tokens = lexer.tokens(text)
  for i, token in ipairs(tokens) do
    if token.kind == "name" and (token.text == "describe" or token.text == "it") and tokens[i + 1].kind ~= "end" then
      local after = tokens[i + 1]
      if after.text == "(" or after.kind == "string" then return true end
    end
  end
  return false
end

-- M.clock(file) -> "virtual" | "real". The first line of a file may say "virtual clock" or "real clock"; else a file of
-- describe and it has a virtual one, others the real one.
function M.clock(file)
  local text = fs.read(file, FILE_MAX)
  if not text then return "real" end -- whoever runs it says why
  local said = text:match "^[^\n]*":match "(%l+) clock"
  if said == "virtual" or said == "real" then return said end
  return calls_it(text) and "virtual" or "real"
end

-- M.home(file) -> the folder it runs in, that of the next project file above it, and its path from there. nil: where
-- we are.
function M.home(file)
  if file:sub(1, 1) == "/" or file:find "%.%." then return nil, file end
  local folder, rest = file:match "^(.*)/([^/]*)$"
  for _ = 1, ABOVE_MAX do
    if not folder then break end
    if kind_of(folder .. "/" .. PROJECT) == "file" then return folder, rest end
    local above, name = folder:match "^(.*)/([^/]*)$"
    rest, folder = (name or folder) .. "/" .. rest, above
  end
  return nil, file
end

return M
