-- stream.lua - prompts from a file or standard input, many at once, one result for each, in memory that does not grow.
-- For scripts/route_prompts.lua.
--
-- Tasks take lines, as many as may be in flight. A bad line is a result, too: it has its number, and stops nothing.

local checkpoint = require "moongate.router.checkpoint"
local closing = require "moongate.closing"
local errors = require "moongate.error"
local fs = require "moongate.fs"
local ids = require "moongate.router.ids"
local output = require "moongate.router.output"
local plain = require "moongate.plain"
local plain_text = require "moongate.plain_text"
local prompt = require "moongate.router.prompt"
local sealed = require "moongate.sealed"
local send = require "moongate.router.send"
local task = require "moongate.task"
local time = require "moongate.time"
local workflow = require "moongate.workflow"

local as_result, byte = send.as_result, string.byte

local M = {}

local LINE_MAX = 1 << 20 -- bytes
local AT_ONCE = 256      -- lines that are taken from the reader in one go
local CHECKPOINT = 1     -- seconds
local SHOWN = 10         -- failures that are told on standard error

local Stream = {}
Stream.__index = Stream

-- ---- lines ----

-- The first line that is not blank shows a file that has no prompt on each line: of one of those, only some lines would
-- be sent.
local function check_first(self, line)
  local foreign, hint = plain_text.foreign(line), nil
  local message
  if foreign then
    message, hint = ("is in %s"):format(foreign), "Save it as UTF-8."
  elseif line:find "^%s*%[" then
    message, hint = "is a JSON array, not JSON lines", "Convert it: jq -c '.[]' %s"
  elseif line:find "^%s*{.*[{%[,]%s*$" or line:find "^%s*{%s*$" then
    message, hint = "is one JSON document over several lines, not JSON lines", "Convert it: jq -c . %s"
  end
  if not message then return end
  errors.raise {
    code = "invalid", outcome = "not_sent", message = ("%s %s: one prompt per line is expected"):format(
      self.shown_name, message), hint = hint:format(self.file == "-" and "FILE" or self.file),
  }
end

-- The next line that is not blank -> line (false: too long), its number, which one it is; nil at the end.
function Stream:take()
  while not self.stopped do
    local at = self.at + 1
    if at > self.have then
      if not self:_refill() then return nil end
    else
      self.at = at
      local line = self.lines[at]
      self.lines[at] = false
      local number = self.first + at - 1
      if number == 1 and line then line = line:gsub("^\239\187\191", "") end
      if not line or (byte(line) or 0) > 32 or line:find "%S" then
        if self.taken == 0 and line then check_first(self, line) end
        self.taken = self.taken + 1
        return line, number, self.taken
      end
    end
  end
end

-- One task reads, the others wait for it -> whether there are more.
function Stream:_refill()
  self.lock:acquire()
  local _ <close> = setmetatable({}, { __close = function() self.lock:release() end })
  if self.at < self.have then return true end
  if self.ended or self.stopped then return false end
  local lines, first = self.reader:read(AT_ONCE)
  if not lines then
    self.ended = true
    if first then error(first, 0) end
    return false
  end
  self.lines, self.first, self.at, self.have = lines, first, 0, #lines
  return true
end

-- ---- results ----

local function where(self, number)
  return ("%s:%d"):format(self.shown_name, number)
end

-- Tells of the first few, and remembers the first of all in the order of the input.
function Stream:_failed(number, err)
  err.where = where(self, number)
  self.failures = self.failures + 1
  if not self.first_failure or number < self.first_failure.line then
    self.first_failure = { line = number, error = err }
  end
  if self.failures <= SHOWN then
    self.run:report(err)
  elseif self.failures == SHOWN + 1 then
    self.run:note("more failures: see the results")
  end
  if self.max_errors and self.failures > self.max_errors and not self.stopped then
    self.stopped = "max_errors"
    self.run:note(("stopped: more than %d errors"):format(self.max_errors))
  end
end

function Stream:_invalid(number, faults, id)
  self.counts.invalid = self.counts.invalid + 1
  local details = {}
  for i, f in ipairs(faults) do
    details[i] = { pointer = f.pointer, field = f.field, message = f.message, where = where(self, number) }
  end
  local err = errors.new {
    code = "invalid", details = #details > 1 and details or nil, outcome = "not_sent",
    message = #faults == 1 and (faults[1].field and faults[1].field .. ": " or "") .. faults[1].message
      or ("%d errors"):format(#faults),
  }
  self:_failed(number, err)
  err.details = details
  return { line = number, id = id, status = "invalid", error = workflow.error_data(err) }
end

local TOO_LONG = { { pointer = "", message = ("is longer than %d bytes"):format(LINE_MAX) } }

-- A line -> the prompt, ready to be sent, in the table `into` if there is one; or nil and the result that a bad one has
function Stream:item(line, number, into)
  if not line then return nil, self:_invalid(number, TOO_LONG) end
  local document, faults = prompt.decode(line)
  if document == nil then return nil, self:_invalid(number, faults) end
  if not self.router.prepared then self:_prepare() end
  local item
  item, faults = prompt.ready(self.router, document, into)
  if item then return item end
  return nil, self:_invalid(number, faults, type(document) == "table" and document.id or nil)
end

-- A line -> the result to write
function Stream:_route(line, number, w)
  local item, bad = self:item(line, number, w.item)
  if not item then return bad end
  local counts = self.counts
  if self.run.dry_run then
    counts.planned = counts.planned + 1
    return {
      line = number, id = item.id, status = "planned", model = item.chain[1].id, fallback = item.chain.rest[1],
      temperature = item.parameters.temperature,
    }
  end
  item.line = number
  if self.id_of then item.request_id = self.id_of(number) end
  self.in_flight = self.in_flight + 1
  local result, fault = send.route(self.router, item, w, self.router.deadline)
  self.in_flight = self.in_flight - 1
  if self.each then w.entry = send.entry(w) end
  if fault and not self.fault then -- what was answered goes out all the same
    self.fault, self.stopped = fault, "audit"
  end
  if result.error then
    counts.failed = counts.failed + 1
    self:_failed(number, result.error)
    result.error = workflow.error_data(result.error)
  else
    counts.ok = counts.ok + 1
  end
  return result
end

-- Only now, when there is something to send: a file of nothing but bad lines asks the gateway nothing.
function Stream:_prepare()
  self.prepare_lock:with(function() self.router:prepare() end)
end

function Stream:_work()
  local w, out, encode = send.worker(self.router), self.output, plain.write
  w.item = {}
  as_result(w.result)
  while true do
    out:reserve()
    local line, number, n = self:take()
    if line == nil then return end
    out:put(n, assert(encode(self:_route(line, number, w))))
    self.done = self.done + 1
    if w.entry then
      self.each(w.entry)
      w.entry = nil
    end
  end
end

-- ---- how far it is ----

function Stream:_tell()
  local new = self.done - self.told
  self.told = self.done
  if self.size and self.size > 0 then
    local read = self.reader:offset()
    if read >= self.size then
      self.bar.expect(self.ended and self.taken or math.max(self.taken, self.done))
    elseif read > 0 then
      self.bar.expect(self.taken * self.size // read)
    end
  end
  local waiting = new == 0 and sealed.open(self.router.gateway):_waiting()
  if waiting then
    self.bar.pause(waiting)
  else
    self.bar.advance(new, ("%d in flight, %d failed"):format(self.in_flight, self.failures))
  end
end

-- ---- opening ----

-- M.open(run, router, opts) -> stream of lines. opts as for M.run
function M.open(run, router, opts)
  local reader, err = fs.lines(opts.file, LINE_MAX)
  if not reader then error(err, 0) end
  local info = opts.file ~= "-" and fs.stat(opts.file) or nil
  if info and info.type == "directory" then
    errors.raise { code = "invalid", message = opts.file .. " is a folder; prompts are lines of a file" }
  end
  return setmetatable({
    run = run, router = sealed.open(router), reader = reader, file = opts.file,
    shown_name = opts.file == "-" and "(stdin)" or opts.file,
    size = info and info.type == "file" and info.size or nil, mtime = info and info.mtime, max_errors = opts.max_errors,
    id_of = run.id and ids.of_lines(run.id) or nil, each = sealed.open(router)._each,
    lines = {}, at = 0, have = 0, taken = 0, done = 0, told = 0, in_flight = 0, failures = 0, before = 0,
    counts = { ok = 0, failed = 0, invalid = 0, planned = 0 },
    lock = task.semaphore(1), prepare_lock = task.semaphore(1), bar = run:progress(nil, "prompts"),
  }, Stream)
end

-- ---- going on where an earlier life of the run has stopped ----

function Stream:_state()
  local first = self.first_failure
  return {
    out = self.before + (self.output and self.output.out or 0), failures = self.failures,
    first_failure = first and { line = first.line, error = workflow.error_data(first.error) } or nil,
  }
end

-- Passes over the lines whose results are out. ordered: only then a number tells which they are.
function Stream:_resume(ordered)
  local j = sealed.open(self.run).journal
  if not (j and ordered) or self.run.dry_run then return end
  local input = self.size and { size = self.size, mtime = self.mtime } or nil
  self.checkpoint = checkpoint.open(j.db, j.id, function() return self:_state() end, input)
  local kept = self.checkpoint.kept
  if not kept then return end
  for _ = 1, kept.out do
    if self:take() == nil then break end
  end
  self.before, self.told, self.failures = self.taken, 0, kept.failures
  local first = kept.first_failure
  if first then self.first_failure = { line = first.line, error = errors.new(first.error) } end
  self.run:note(("%d results are written already: continuing after them"):format(self.before))
end

function Stream:_pump()
  local saved = time.monotonic()
  self.output:pump(function()
    self:_tell()
    if self.checkpoint and time.monotonic() - saved >= CHECKPOINT then
      self.checkpoint:save()
      saved = time.monotonic()
    end
  end)
end

-- ---- all of it ----

-- M.run(run, router, {file (path or "-"), concurrency, ordered, max_errors, json, write}) -> {counts, failures,
-- first_failure = {line, error}, stopped, seconds, results, before = results of an earlier life of the run}. Raises
-- what ends it early: a model that is not there, a file that can't be read, an output that can't be written, an audit
-- log that fails.
function M.run(run, router, opts)
  local self = M.open(run, router, opts)
  local reader <close> = self.reader
  local began = time.monotonic()
  local unfinished <close> = closing.unfinished(function()
    local c = self.counts
    return ("%d prompts: %d ok, %d failed, %d invalid"):format(self.done, c.ok, c.failed, c.invalid),
      { total = self.done, ok = c.ok, failed = c.failed, invalid = c.invalid, before = self.before }
  end)
  self:_resume(opts.ordered)
  self.output = output.new {
    write = opts.write, ordered = opts.ordered, concurrency = opts.concurrency, first = self.before + 1,
    separator = opts.json and ",\n" or nil, ending = not opts.json and "\n" or nil,
  }
  local pump = task.spawn(function() self:_pump() end)
  local workers = {}
  for i = 1, opts.concurrency do workers[i] = function() self:_work() end end
  local ok, err = task.all(workers)
  pump:cancel()
  pump:join() -- what has failed it has failed the output, too
  self.bar.done()
  self.output:finish()
  if not ok then error(err, 0) end
  if self.fault then error(self.fault, 0) end
  unfinished:finish()
  if self.checkpoint then
    if self.stopped then self.checkpoint:save() else self.checkpoint:finish() end
  end
  return {
    counts = self.counts, failures = self.failures, first_failure = self.first_failure, stopped = self.stopped,
    seconds = time.monotonic() - began, results = self.done, read = reader:offset(), before = self.before,
  }
end

return M
