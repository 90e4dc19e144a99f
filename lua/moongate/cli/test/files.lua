-- files.lua - which files of tests there are, and how each wants to run.
local errors = require "moongate.error"
local fs = require "moongate.fs"
local lexer = require "moongate.source.lexer"
local lua_files = require "moongate.cli.lua_files"

local M = {}

local FILE_MAX, ABOVE_MAX = 16 << 20, 64
local PROJECT = "moongate.lua"

-- "test_x.lua" and "x_test.lua" are tests.
local function is_test(name)
  return name:find "^test_.+%.lua$" ~= nil or name:find ".+_test%.lua$" ~= nil
end

-- M.collect(paths) -> files, each once. A folder: the tests in and below it. No paths: those in the folder we are in,
-- and in and below ./tests.
function M.collect(paths)
  local found, files, seen = {}, {}, {}
  if #paths == 0 then
    lua_files.walk(".", found, is_test, true)
    if lua_files.kind "tests" == "directory" then lua_files.walk("tests", found, is_test) end
  end
  for _, path in ipairs(paths) do
    local kind = lua_files.kind(path)
    if not kind then
      errors.raise { code = "usage", message = ("file or folder not found: %s"):format(path) }
    end
    if kind == "directory" then lua_files.walk(path, found, is_test) else found[#found + 1] = path end
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
    if lua_files.kind(folder .. "/" .. PROJECT) == "file" then return folder, rest end
    local above, name = folder:match "^(.*)/([^/]*)$"
    rest, folder = (name or folder) .. "/" .. rest, above
  end
  return nil, file
end

return M
