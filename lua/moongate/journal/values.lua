-- values.lua - what a script draws from outside between its steps: times, ids, the answers to its reads. Times and ids
-- are the same again when the run is taken up; answers are only for `runs check`. Buffered: a row goes along with the
-- next durable batch. For journal.lua only.
--
-- A row holds those of one name that a path has drawn since the last batch: n is the number of the first, value_json
-- {"before": number of the next record, "list": [...]}.

local clean = require("moongate.cleaned").json
local json = require "moongate.json"
local plain = require "moongate.plain"

local M = {}

local BUFFERED_MAX = 100000 -- values between two batches; more are not kept
local SEEN_MAX = 16 << 10   -- bytes of one answer
local SEEN_TOTAL = 4 << 20  -- of all of a run's

local Values = {}
Values.__index = Values

function M.new(journal)
  return setmetatable({ journal = journal, kept = {}, new = {}, dirty = {}, buffered = 0, seen_bytes = 0 }, Values)
end

local function key_of(path, name) return path .. "\n" .. name end

function Values:load(rows)
  for _, row in ipairs(rows) do
    local key = key_of(row.path, row.name)
    local entry = self.kept[key] or { at = 0, list = {} }
    self.kept[key] = entry
    local list = assert(plain.decode(row.value_json)).list
    table.move(list, 1, #list, row.n, entry.list)
  end
end

-- A value that was drawn at this place before, or nil.
function Values:_again(key)
  local entry = self.kept[key]
  if not entry then
    entry = { at = 0, list = {} }
    self.kept[key] = entry
  end
  entry.at = entry.at + 1
  return entry.list[entry.at], entry.at
end

function Values:_add(key, path, name, n, value)
  if self.buffered >= BUFFERED_MAX then return end
  self.buffered = self.buffered + 1
  local chunk = self.new[key]
  if not chunk then
    chunk = { path = path, name = name, n = n, list = json.array {} }
    self.new[key] = chunk
    self.dirty[#self.dirty + 1] = chunk
  end
  chunk.list[#chunk.list + 1] = value
end

function Values:next(path, name, make)
  local key = key_of(path, name)
  local value, n = self:_again(key)
  if value ~= nil then return value end
  value = make()
  self:_add(key, path, name, n, value)
  return value
end

-- An answer. It is not used when the run is taken up: what is read then is what is so then.
function Values:saw(path, name, value)
  local text = plain.encode(value)
  if not text or #text > SEEN_MAX or self.seen_bytes + #text > SEEN_TOTAL then return end
  self.seen_bytes = self.seen_bytes + #text
  local key = key_of(path, name)
  local _, n = self:_again(key)
  self:_add(key, path, name, n, value)
end

function Values:seen(path, name)
  return (self:_again(key_of(path, name)))
end

-- Adds the rows of what is new to a list of statements.
function Values:flush(statements, next_seq)
  for _, chunk in ipairs(self.dirty) do
    local text = plain.encode { before = next_seq, list = chunk.list }
    text = text and clean(text)
    if text then
      statements[#statements + 1] = {
        [[INSERT INTO run_values (run_id, path, name, n, value_json) VALUES ($1, $2, $3, $4, $5)
          ON CONFLICT (run_id, path, name, n) DO UPDATE SET value_json = excluded.value_json]],
        self.journal.id, chunk.path, chunk.name, chunk.n, text,
      }
    end
  end
  self.new, self.dirty, self.buffered = {}, {}, 0
end

return M
