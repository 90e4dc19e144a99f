-- history.lua - the lines of former sessions: a file of mode 0600 in the state folder, without the secrets that were
-- typed. MOONGATE_HISTORY names another file; empty, it turns the file off.
local fs = require("moongate.host").fs -- what the user names at the prompt, not a script
local lexer = require "moongate.source.lexer"
local log = require "moongate.log"
local secrets = require "moongate.repl.secrets"

local M = {}

local LINES, BYTES, PRIVATE = 1000, 4 << 20, 384 -- octal 600

local History = {}
History.__index = History

-- A text of several lines as one, where that means the same: comments and long texts need their line breaks.
local function one_line(text)
  if not text:find("\n", 1, true) then return { text } end
  local tokens, split = lexer.tokens(text), text:find("--", 1, true)
  for _, token in ipairs(tokens) do split = split or token.text:find("\n", 1, true) end
  if not split then return { (text:gsub("%s*\n%s*", " ")) } end
  local lines = {}
  for line in (text .. "\n"):gmatch "(.-)\n" do lines[#lines + 1] = line end
  return lines
end

local function read(path)
  local lines = {}
  for line in (path and fs.read(path, BYTES) or ""):gmatch "[^\n]+" do lines[#lines + 1] = line end
  return lines
end

local function cut(lines)
  return #lines > LINES and table.move(lines, #lines - LINES + 1, #lines, 1, {}) or lines
end

-- Writes the file whole, behind what other sessions have written meanwhile. What can't be written is told once; the
-- session goes on.
function History:write(added)
  if not self.path then return end
  local lines = read(self.path)
  table.move(added, 1, #added, #lines + 1, lines)
  self.lines = cut(lines)
  local ok, err = fs.write(self.path, table.concat(self.lines, "\n") .. "\n", { mode = PRIVATE })
  if ok then return end
  log.warn("the history can't be written to %s: %s", self.path, err.message)
  self.path = nil
end

-- history:add(text) -> the lines that were added, without secrets
function History:add(text)
  local added = {}
  if not text:find "%S" then return added end
  for _, line in ipairs(one_line(secrets.clean(text))) do
    if line ~= self.lines[#self.lines] then
      added[#added + 1] = line
      self.lines[#self.lines + 1] = line
    end
  end
  if #added > 0 then self:write(added) end
  return added
end

-- M.open(what MOONGATE_HISTORY says | nil, the state folder | nil) -> history; history.lines: what there was
function M.open(named, folder)
  local self = setmetatable({ lines = {}, path = named }, History)
  if named == "" then
    self.path = nil
  elseif not named and folder then
    self.path = fs.mkdir(folder) and folder .. "/history"
  end
  self.lines = read(self.path)
  return self
end

return M
