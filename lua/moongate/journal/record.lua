-- record.lua - one part of a run in its journal: begun, done, failed. For journal.lua and those who keep records.
--
--   rec.state   nil: new; "started": begun in an earlier life of the run, and what became of it is not known;
--               "done"; "failed"
--   rec:start(intent)          durable: what is about to be done
--   rec:done(results, more)    durable: it is done; more: statements of the same transaction
--   rec:fail(err)              durable: it failed. When the run is taken up it is done anew, unless the script had gone
--                              on to other records of its path: then it fails as it did
--   rec:remember(results)      done without a start: goes along with the next batch
--   rec:results()              what was kept of it
--   rec:inside(opts, fn)       fn() in the record's own scope, finished before a stop is heeded

local errors = require "moongate.error"
local json = require "moongate.json"
local plain = require "moongate.plain"
local scope = require "moongate.scope"

local M = {}

local Record = {}
Record.__index = Record

-- M.new(journal, {path, name, n, kind, place}, its place in the path) -> record
function M.new(journal, fields, at)
  fields.journal, fields.at = journal, at
  return setmetatable(fields, Record)
end

-- A row of the table -> record
function M.kept(journal, row, at)
  row.journal, row.at, row.in_table = journal, at, true
  return setmetatable(row, Record)
end

-- ---- what is kept ----

-- The plain form of a record's results, a list: nil is null.
function M.encode(what, results)
  local list = json.array {}
  for i = 1, results.n do
    local v = results[i]
    if v == nil then v = json.null end
    list[i] = v
  end
  while list[#list] == json.null do list[#list] = nil end
  local text, err = plain.encode(list)
  if text then return text end
  errors.raise {
    code = "script", message = ("%s: what it returned can't be kept: %s"):format(what, err.message),
    hint = "Return plain data: strings, numbers, booleans, and tables of them.",
  }
end

-- -> the values
function M.decode(text)
  local list = assert(plain.decode(text))
  local n = #list
  for i = 1, n do
    if list[i] == json.null then list[i] = nil end
  end
  return table.unpack(list, 1, n)
end

-- An error as it is kept: all of it that is plain data.
function M.error_text(err)
  if not errors.is(err) then return plain.write { code = "script", message = tostring(err) } end
  local out = {}
  for name, value in pairs(err) do
    if name ~= "traceback" and plain.encode(value) then out[name] = value end
  end
  return plain.write(out)
end

function Record:results()
  return M.decode(self.result_json)
end

function Record:intent()
  return self.intent_json and assert(plain.decode(self.intent_json)) or {}
end

function Record:what()
  return ("%s '%s'"):format(self.kind, self.name)
end

-- Its number in the run's journal, as text: what rows of other tables know it by.
function Record:id()
  if not self.seq then
    self.seq = self.journal.next_seq
    self.journal.next_seq = self.seq + 1
  end
  return tostring(self.seq)
end

-- Whether it failed, and the script went on to something else: it goes on to that again. unknown: also when what it
-- did is not known.
function Record:failed_for_good(unknown)
  if self.state ~= "failed" and not (unknown and self.state == "started" and self.error_json) then return false end
  local j = self.journal
  return j.checking or (#j:_path(self.path).records > self.at and not (j.redo and j.redo[self.name]))
end

-- Raises the failure that was kept of it.
function Record:raise()
  local fields = self.error_json and plain.decode(self.error_json) or {}
  fields.code, fields.message = fields.code or "failed", fields.message or self:what() .. " failed"
  errors.raise(fields)
end

-- ---- keeping ----

-- M.clean(text) -> what the store may hold of a record's JSON: no secret that is known, whoever has put it there.
M.clean = require("moongate.cleaned").json

-- An intent with a secret in it says so: what it was to write can't be learnt from it again.
local function clean_intent(text)
  local cleaned, changed = M.clean(text)
  if not changed then return text end
  local intent = plain.decode(cleaned)
  intent.redacted = true
  return plain.write(intent)
end

local COLUMNS = { "path", "name", "n", "kind", "state", "intent_json", "result_json", "error_json", "place" }

-- The statement that brings the record's row to what it is now.
function Record:_statement(finished)
  local j = self.journal
  local sets, parameters = {}, { "", j.id }
  local function value(v)
    if v == nil then return "NULL" end
    parameters[#parameters + 1] = v
    return "$" .. #parameters - 1
  end
  local function column(name)
    local v = self[name]
    if v == nil or not name:find "_json$" then return value(v) end
    local text = (name == "intent_json" and clean_intent or M.clean)(v)
    return value(text)
  end
  if not self.in_table then
    self:id()
    for i, name in ipairs(COLUMNS) do sets[i] = column(name) end
    parameters[1] = ("INSERT INTO steps (run_id, %s, seq, started_at, finished_at) VALUES ($1, %s, %s, {now}, %s)")
      :format(table.concat(COLUMNS, ", "), table.concat(sets, ", "), value(self.seq), finished and "{now}" or "NULL")
    self.in_table = true
    return parameters
  end
  for i, name in ipairs { "state", "intent_json", "result_json", "error_json", "place" } do
    sets[i] = ("%s = %s"):format(name, column(name))
  end
  parameters[1] = ("UPDATE steps SET %s, %s = {now} WHERE run_id = $1 AND seq = %s"):format(table.concat(sets, ", "),
    finished and "finished_at" or "started_at", value(self.seq))
  parameters.expect = 1
  return parameters
end

-- intent: plain data, what is needed to find out later what became of it; nil: as it is.
function Record:start(intent)
  if intent ~= nil then
    local text, err = plain.encode(intent)
    if not text then
      errors.raise { code = "script", message = ("%s: its intent can't be kept: %s"):format(self:what(),
        err.message) }
    end
    self.intent_json = text
  end
  self.state, self.result_json, self.error_json, self.begun = "started", nil, nil, true
  self.journal:commit({ self:_statement(false) }, self:what() .. " was not started", true)
end

-- A change of the intent while it is under way: what was learnt on the way (the id of a job).
function Record:note(intent)
  self.intent_json = plain.write(intent)
  self.journal:commit({ self:_statement(false) }, self:what())
end

local function finish(self, state, results)
  self.state = state
  self.result_json = results and M.encode(self:what(), results) or nil
  if state == "done" then self.error_json = nil end
end

-- results: of table.pack
function Record:done(results, more)
  finish(self, "done", results)
  if more and #more > 0 then self.intent_json = assert(json.encode { told = #more }) end
  local statements = { self:_statement(true) }
  table.move(more or {}, 1, #(more or {}), 2, statements)
  self.journal:commit(statements, self:what() .. " is done, but")
end

-- Whether it announced itself to webhooks.
function Record:told()
  return self.state == "done" and self.intent_json ~= nil and self:intent().told ~= nil
end

-- Its failure; a journal that failed itself is not asked again.
function Record:fail(err)
  if self.journal.broken then return end
  self.error_json = M.error_text(err)
  local unknown = errors.is(err) and (err.outcome == "unknown" or err.took_effect) -- to be looked up, not done anew
    or (self.unsure or 0) > 0
  finish(self, unknown and "started" or "failed")
  if self.begun or self.in_table then
    self.journal:commit({ self:_statement(true) }, self:what() .. " has failed, and")
  else
    self.journal:buffer(self:_statement(true))
  end
end

function Record:remember(results)
  finish(self, "done", results)
  if not self.journal.checking then self.journal:buffer(self:_statement(true)) end
end

-- ---- its scope ----

-- opts: guarded = what must not be sent twice is not sent (nil: as outside), open = a stop need not wait for it,
-- passing = what happens in it is part of what it is in itself. -> what fn() returns; what it raises goes on
function Record:inside(opts, fn)
  local context = {
    journal = self.journal, path = ("%s:%d"):format(self.path, self.at), record = self, live = true,
  }
  if opts.passing then
    local outer = scope.get()
    context.record, context.live = outer.record, outer.live
  end
  local before, state = scope.enter(context, not opts.open, opts.guarded)
  local results = table.pack(pcall(fn))
  scope.leave(before, state)
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

-- The key of its request.
function Record:key()
  return self.journal:key(self)
end

return M
