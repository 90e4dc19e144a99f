-- journal.lua - what a run has done, kept so that a run that was cut off goes on where it stopped and does nothing
-- twice. For workflow.lua, the gateway's write path, the outbox and the command line.
--
-- A record is one part of a run: a step, a write, a sleep, a webhook. It is known by the place it is called at: the
-- path of its task, its kind, its name, and a number that counts those of the same kind and name there. A path is ""
-- for the run's own task, "2" for the second task that it has spawned, "2.1" for that one's first; inside the third
-- record of a path, ":3" is added, so that what is spawned or written in a step does not count outside of it. The jth
-- record that a path comes to must be the jth that was kept of it, or the journal does not fit.
--
-- What is kept at once (START, DONE) is one durable batch each. What may be lost with the process is buffered and goes
-- along with the next of them: times and ids that the script has drawn, writes that had nothing to do.
--
--   journal.current() -> journal, record | nil     of the task that asks
--   j:visit(kind, name) -> record                  the next one of this task's path; see journal/record.lua
--   j:anew(record)                                 it was kept as failed or unknown, and is made again: where it ends
--                                                  otherwise now, what followed it may be other records
--   j:value(name, make) -> what make() gives, or gave in an earlier life of the run
--   j.db, j.id, j.resumed

local errors = require "moongate.error"
local hash = require "moongate.hash"
local log = require "moongate.log"
local record = require "moongate.journal.record"
local scope = require "moongate.scope"
local values = require "moongate.journal.values"

local M = {}

local Journal = {}
Journal.__index = Journal

-- ---- where a task is ----
--
-- A context: {journal, path, record = the innermost step or write that it is in | nil, live = whether values are drawn
-- anew}

-- The path of the current task.
local function path_of(context)
  local numbers = scope.numbers()
  if numbers == "" then return context.path end
  return context.path == "" and numbers or context.path .. "." .. numbers
end

-- journal.current() -> the journal of the run that the current task is part of, and the record it is in; or nil.
function M.current()
  local context = scope.get()
  if context then return context.journal, context.record end
end

-- journal.quietly(fn, …) -> what it returns. Tasks spawned in fn don't count for the paths of the script's own.
function M.quietly(fn, ...)
  local context = scope.get()
  if not context then return fn(...) end
  local before, state = scope.enter({
    journal = context.journal, path = path_of(context), record = context.record, live = context.live,
  }, false)
  local results = table.pack(pcall(fn, ...))
  scope.leave(before, state)
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

-- journal.shield(): what the current task does is finished before it is cancelled, until it leaves the record that it
-- is in.
function M.shield()
  local shield = scope.shield(1)
  scope.shield(shield + 1)
end

-- journal.pause(sleep, seconds): sleeps where a run may be stopped, though a step or a write is under way.
function M.pause(sleep, seconds)
  if not scope.get() then return sleep(seconds) end
  local shield = scope.shield(0)
  sleep(seconds)
  scope.shield(shield)
end

-- ---- requests ----

-- Statuses with which a server says that it did not do what it was asked to. Any other failure may have come after the
-- effect.
local REFUSED = {}
for _, status in ipairs {
  400, 401, 403, 404, 405, 407, 409, 410, 411, 412, 413, 414, 415, 417, 421, 422, 423, 425, 426, 428, 429, 431, 451,
  501, 505,
} do REFUSED[status] = true end

-- M.confirm(context): whether this process may still write for the run of that context -> true | nil, err. Set by
-- lease.lua, where leases are held.
function M.confirm() return true end

-- A request that must not be sent twice counts in the record that it is sent in, until it is known to have had no
-- effect: a step that fails with one is not simply done again.
local counted = setmetatable({}, { __mode = "k" }) -- coroutine -> the record that its request counts in

local function settle(had_effect)
  local co = coroutine.running()
  local rec = counted[co]
  counted[co] = nil
  if rec and not had_effect then rec.unsure = rec.unsure - 1 end
end

local function before_request(_, replayable)
  local context = scope.get()
  local ok, err = M.confirm(context)
  if not ok then
    settle(false) -- it was sent before only where that was refused
    return nil, err
  end
  local rec, co = context and context.record, coroutine.running()
  if rec and not replayable and not counted[co] then counted[co], rec.unsure = rec, (rec.unsure or 0) + 1 end
  return true
end

local function after_request(outcome, status)
  settle(not (outcome == "not_sent" or outcome == "refused" or REFUSED[status]))
end

-- From here on requests are looked at: a run keeps a journal, or leases are held.
function M.watch_requests()
  if M.watching then return end
  M.watching = true
  scope.hooks(before_request, after_request)
end

-- ---- opening ----

-- journal.open(db, run id, {salt, life, resumed = load what was kept, check = only compare with it}) -> journal.
-- Raises. life: how often the run was begun or taken up: of a process that stood still meanwhile nothing more is kept.
function M.open(db, id, opts)
  local self = setmetatable({
    db = db, id = id, life = opts.life or 1, salt = opts.salt or "",
    resumed = opts.resumed or false, checking = opts.check or false,
    paths = {}, next_seq = 1, pending = {}, mismatches = {}, unknown = {}, kept = 0, seen_bytes = 0,
  }, Journal)
  self.values = values.new(self)
  if self.resumed then self:_load() end
  return self
end

function Journal:_path(path)
  local state = self.paths[path]
  if not state then
    state = { records = {}, at = 0, counts = {} }
    self.paths[path] = state
  end
  return state
end

function Journal:_take(rows)
  for _, row in ipairs(rows) do
    local state = self:_path(row.path)
    state.records[#state.records + 1] = record.kept(self, row, #state.records + 1)
    self.next_seq = math.max(self.next_seq, row.seq + 1)
  end
  self.kept = #rows
end

function Journal:_load()
  local last = assert(self.db:exec("SELECT max(seq) AS seq FROM steps WHERE run_id = $1", self.id))[1]
  self:_take(assert(self.db:exec([[SELECT seq, path, name, n, kind, state, intent_json, result_json, error_json, place
    FROM steps WHERE run_id = $1 AND state <> 'left' ORDER BY seq]], self.id)))
  self.next_seq = math.max(self.next_seq, (last and last.seq or 0) + 1)
  self.values:load(assert(self.db:exec(
    "SELECT path, name, n, value_json FROM run_values WHERE run_id = $1 ORDER BY path, name, n", self.id)))
end

-- journal.of_export(document of `runs export`) -> journal to check a script against.
function M.of_export(document)
  local self = M.open(nil, document.run.id, { salt = document.salt, check = true })
  self:_take(document.steps)
  self.values:load(document.values)
  self.resumed = true
  return self
end

-- ---- keeping ----

-- Raises when the run can't go on: its journal failed, does not fit, or it was cancelled.
function Journal:check()
  if self.broken then error(self.broken, 0) end
end

-- What a batch begins with: the run is this life's, and for what is begun, it is to go on.
function Journal:ours(begins)
  if begins then
    return {
      "UPDATE runs SET updated_at = {now} WHERE id = $1 AND life = $2 AND status = 'running'", self.id, self.life,
      expect = 1,
    }
  end
  return { "SELECT life FROM runs WHERE id = $1 AND life = $2 {lock}", self.id, self.life, expect = 1 }
end

-- The statements that wait for the next batch, in their order, behind what it begins with.
function Journal:take_pending(begins)
  local list = self.pending
  self.pending = {}
  self.values:flush(list, self.next_seq)
  table.insert(list, 1, self:ours(begins))
  return list
end

-- One durable batch: what is pending, then the statements. Raises; after that the run can't go on. what: done when it
-- fails, for the message. begins: with it something begins, which a run that was cancelled does not.
function Journal:commit(statements, what, begins)
  self:check()
  local list = self:take_pending(begins)
  table.move(statements, 1, #statements, #list + 1, list)
  local rows, err = self.db:batch(list)
  if rows then return rows end
  if not self.broken then
    if err.code == "conflict" then
      err = errors.new {
        code = "run_cancelled", hint = ("moongate runs show %s"):format(self.id),
        message = ("run %s is not this process's any more: it was cancelled, or taken over"):format(self.id),
      }
    else
      err.message = ("%s: run %s can't be journalled: %s"):format(what or "stopped", self.id, err.message)
    end
    self.broken = err
  end
  error(self.broken, 0)
end

-- Goes along with the next batch.
function Journal:buffer(statement)
  self.pending[#self.pending + 1] = statement
end

-- ---- visiting ----

-- A record as people are told of it: "put_index", "write PUT /a/b", "sleep#2".
function M.shown(rec)
  local kind = (rec.kind == "step" or rec.kind == rec.name) and "" or rec.kind .. " "
  return ("%s%s%s"):format(kind, rec.name, rec.n > 1 and "#" .. rec.n or "")
end

local shown = M.shown

local function place_of(path, at)
  return ("[%s%s]"):format(path == "" and "" or path .. "/", at)
end

function Journal:_mismatch(path, at, kept, asked, where)
  local place = place_of(path, at)
  local lines = {
    ("journal%s %s%s"):format(place, kept and shown(kept) or "(ends here)", kept and kept.place
      and "  " .. kept.place or ""),
    ("script%s %s%s"):format(place, asked and shown(asked) or "(does not come to it)", where and "  " .. where or ""),
  }
  local err = errors.new {
    code = "journal_mismatch", where = where,
    message = ("the journal of run %s does not fit the script: %s / %s"):format(self.id,
      kept and ("journal%s %s"):format(place, shown(kept)) or ("journal%s ends"):format(place),
      asked and ("script%s %s"):format(place, shown(asked)) or "the script does not come to it"),
    hint = ("Start a new run, or resume this one with the original script (moongate runs show %s).")
      :format(self.id),
  }
  err.lines = lines
  self.mismatches[#self.mismatches + 1] = err
  return err
end

-- A record that was kept as failed or unknown, or found what is no longer news, is made again.
function Journal:anew(rec)
  if rec.seq and not self.checking then self.turned = math.min(self.turned or rec.seq, rec.seq) end
end

-- A read is made again, since nothing but failures followed it in its path. What it sees now may lead to other records.
function Journal:looked_again(rec)
  local state = self:_path(rec.path)
  state.looked_again = math.min(state.looked_again or rec.at, rec.at)
end

-- What a path has kept from `at` on followed a failure that is none any more, or a read that was made again: it is left
-- in the table as what was, and the run has it no more. false: it followed neither.
function Journal:_leave(path, at)
  local state = self:_path(path)
  local turned = self.turned and state.records[at].seq >= self.turned
  if not turned and not (state.looked_again and at > state.looked_again) then return false end
  local inside, left = {}, {}
  for i = #state.records, at, -1 do
    left[#left + 1] = state.records[i]
    inside[#inside + 1] = ("%s:%d"):format(path, i)
    state.records[i] = nil
  end
  for other, inner in pairs(self.paths) do
    for _, prefix in ipairs(inside) do
      if other == prefix or other:sub(1, #prefix + 1):find("^" .. prefix:gsub("%p", "%%%0") .. "[.:]") then
        table.move(inner.records, 1, #inner.records, #left + 1, left)
        inner.records = {}
      end
    end
  end
  for _, rec in ipairs(left) do
    self:buffer { "UPDATE steps SET state = 'left' WHERE run_id = $1 AND seq = $2", self.id, rec.seq }
    log.info("run %s: left behind, since what failed before it did not fail again: %s", self.id, shown(rec))
  end
  return true
end

-- Whether anything took effect in a path behind its record `at`, or may have.
function Journal:effect_behind(path, at)
  local records = self:_path(path).records
  for i = at + 1, #records do
    if records[i].state ~= "failed" then return true end
    local inside = ("%s:%d"):format(path, i)
    for other, inner in pairs(self.paths) do
      if other:sub(1, #inside) == inside and not other:sub(#inside + 1, #inside + 1):find "%d" then
        for _, rec in ipairs(inner.records) do
          if rec.state ~= "failed" then return true end
        end
      end
    end
  end
  return false
end

-- The next record of the current task's path: one that was kept, or a new one. Raises when another was kept there.
function Journal:visit(kind, name)
  self:check()
  local path, where = path_of(scope.get()), scope.where()
  local state = self:_path(path)
  local key = kind .. " " .. name
  local n = (state.counts[key] or 0) + 1
  state.counts[key], state.at = n, state.at + 1
  local rec = state.records[state.at]
  if not rec then
    if self.checking then self:needs(("%s %s was not come to before it was interrupted"):format(kind, name)) end
    return record.new(self, { path = path, name = name, n = n, kind = kind, place = where }, state.at)
  end
  if rec.kind ~= kind or rec.name ~= name or rec.n ~= n then
    if self:_leave(path, state.at) then
      return record.new(self, { path = path, name = name, n = n, kind = kind, place = where }, state.at)
    end
    local err = self:_mismatch(path, state.at, rec, { kind = kind, name = name, n = n }, where)
    if not self.checking then self.broken = err end
    error(err, 0)
  end
  return rec
end

-- In a check: this can't be told without the gateway, or lies behind the journal's end. Raises, and nothing more of
-- this task is looked at.
function Journal:needs(what)
  self.stopped_at = self.stopped_at or {}
  self.stopped_at[#self.stopped_at + 1] = { what = what, path = path_of(scope.get()), where = scope.where() }
  errors.raise { code = "check_end", message = "not looked at any further: " .. what }
end

-- Whether a path lies inside of a record that was not gone through again, because it was done.
function Journal:_inside_of_done(path)
  local outer, at = path:match "^(.*):(%d+)[%d.]*$"
  if not outer then return false end
  local rec = self:_path(outer).records[math.tointeger(at)]
  return rec ~= nil and rec.state ~= "started" or self:_inside_of_done(outer)
end

-- Records that the run has not come to, in the order of the journal.
function Journal:unvisited()
  local list, paths = {}, {}
  for path in pairs(self.paths) do paths[#paths + 1] = path end
  for _, path in ipairs(paths) do
    local state = self.paths[path]
    if not self:_inside_of_done(path) then
      for at = state.at + 1, #state.records do
        list[#list + 1] = { path = path, at = at, record = state.records[at] }
      end
    end
  end
  table.sort(list, function(a, b) return a.record.seq < b.record.seq end)
  return list
end

-- The names of the records that the run has not come to, though it has ended: lines for people.
function Journal:left_over()
  local lines = {}
  for _, item in ipairs(self:unvisited()) do
    if not (self.turned and item.record.seq > self.turned) then
      lines[#lines + 1] = ("journal%s %s"):format(place_of(item.path, item.at), shown(item.record))
    end
  end
  return lines
end

-- ---- values ----

-- j:value(name, make) -> a plain value. Inside of a step it is drawn anew: the step's result is what is kept.
function Journal:value(name, make)
  local context = scope.get()
  if not context or context.live then return make() end
  return self.values:next(path_of(context), name, make)
end

-- j:numbers(stream) -> the generator of the current task's random numbers: the same again when the run is taken up.
-- nil: inside of a step. stream(seed) makes one.
function Journal:numbers(stream)
  local context = scope.get()
  if context.live then return nil end
  local state = self:_path(path_of(context))
  if not state.numbers then
    local seed = hash.sha256(("%s\nrandom\n%s"):format(self.salt, path_of(context)))
    state.numbers = stream(tonumber(seed:sub(1, 16), 16) or 0)
  end
  return state.numbers
end

-- j:saw(name, value): what a read outside of a step gave. Only `runs check` looks at it.
function Journal:saw(name, value)
  local context = scope.get()
  if context and not context.live and not self.checking then self.values:saw(path_of(context), name, value) end
end

-- In a check: what saw() was told there, or nil.
function Journal:seen(name)
  return self.values:seen(path_of(scope.get()), name)
end

-- A key that this record's request goes out with, however often it does.
function Journal:key(rec)
  local parts = { self.id, self.salt, rec.path, rec.kind, rec.name, rec.n }
  return "mg-" .. hash.sha256(table.concat(parts, "\n")):sub(1, 40)
end

-- ---- running ----

-- j:within(fn) -> what fn() returns; what it raises goes on. The current task becomes the run's own: path "".
function Journal:within(fn)
  M.watch_requests()
  local before, state = scope.enter({ journal = self, path = "" }, false)
  local results = table.pack(pcall(fn))
  scope.leave(before, state)
  if results[1] then return table.unpack(results, 2, results.n) end
  local err = results[2]
  if type(err) == "string" and not err:find "^[^\n]-:%d+: " then -- a script's: nothing else would tell that from here
    err = errors.new { code = "script", message = err, where = "the script" }
  end
  error(err, 0)
end

return M
