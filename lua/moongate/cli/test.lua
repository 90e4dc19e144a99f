-- test.lua - `moongate test [PATHS]`: finds the files, runs each in a process of its own (cli/test/worker.lua), several
-- at once, and reports what became of their tests, in the files' order.
local child = require "moongate.child"
local context = require "moongate.cli.context"
local coverage = require "moongate.cli.test.coverage"
local errors = require "moongate.error"
local files = require "moongate.cli.test.files"
local fs = require "moongate.fs"
local host = require "moongate.host"
local json = require "moongate.json"
local junit = require "moongate.cli.test.junit"
local process = require "moongate.cli.test.process"
local rng = require "moongate.sim.rng"
local task = require "moongate.task"
local text = require "moongate.text"
local time = require "moongate.time"

local M = {}

-- ---- what happens in a file ----

-- A file that runs: its tests so far, what it has printed, and what is still to be told of it while another one's turn
-- lasts.
local File = {}
File.__index = File

local function new_file(path, clock)
  local home, rest = files.home(path)
  return setmetatable({
    name = path, home = home, path = rest, clock = clock or files.clock(path), tests = {}, output = "", waiting = {},
    seconds = 0, began = time.now(), snapshots = {},
  }, File)
end

-- Calls the reporter now, or when it is this file's turn.
function File:tell(what, ...)
  if self.reporter then return self.reporter[what](self.reporter, self, ...) end
  table.insert(self.waiting, { what, ... })
end

-- Its turn has come. of: how many files there are.
function File:start(reporter, of)
  self.reporter = reporter
  reporter:file_started(self, of)
  for _, event in ipairs(self.waiting) do reporter[event[1]](reporter, self, table.unpack(event, 2)) end
  self.waiting = {}
end

function File:add(t)
  if t.failure and t.failure.where and self.home then t.failure.where = self.home .. "/" .. t.failure.where end
  self.tests[#self.tests + 1] = t
  self:tell("test", t)
end

function File:fail(name, message, lines)
  self:add { name = name, status = "failed", seconds = 0, failure = { message = message, lines = lines or {} } }
end

function File:record(r)
  if r.event == "started" then
    self.running, self.since = r.name, time.monotonic()
  elseif r.event == "ended" then
    self:add {
      name = r.name, status = r.status, why = r.why, clock = r.clock, again = r.again, failure = r.failure,
      seconds = time.monotonic() - (self.since or time.monotonic()),
    }
    self.running = nil
  elseif r.event == "broken" then
    self:add { name = self.name, status = "failed", seconds = 0, failure = r.failure }
  elseif r.event == "finished" then
    self.snapshots, self.coverage = r.snapshots or {}, r.coverage
  end
end

function File:run(opts)
  local started = time.monotonic()
  local ended = process.run(setmetatable({
    clock = self.clock, home = self.home, path = self.path, folder = opts.folder .. "/files",
    -- The variable: tests of what a store does, on a server (tests/e2e/postgres.t).
    state = host.getenv "MOONGATE_TEST_STATE" or opts.folder .. "/state",
  }, { __index = opts }), {
    record = function(r) self:record(r) end,
    text = function(s)
      self.output = self.output .. s
      self:tell("text", s)
    end,
  })
  self.seconds = time.monotonic() - started
  if ended then self:fail(self.running or self.name, ended) end
  self:tell "file_ended"
  self.done = true
end

-- ---- all of them ----

local function run_all(list, args, opts, reporter)
  local head = 1
  local function advance()
    while list[head] and (head == 1 or list[head - 1].done) do
      list[head]:start(reporter, #list)
      head = head + 1
    end
  end
  advance()
  local jobs = args.jobs or child.parallelism()
  assert(task.map(list, math.max(1, math.min(jobs, #list)), function(file, i)
    local mine = setmetatable({ folder = opts.folder .. "/" .. i }, { __index = opts })
    file:run(mine)
    advance()
  end))
end

local function shuffled(list, seed)
  local r = rng.new(seed, "files")
  for i = #list, 2, -1 do
    local j = (r:u64() >> 1) % i + 1
    list[i], list[j] = list[j], list[i]
  end
end

local function summary_of(list, opts, seconds)
  local s = {
    files = #list, passed = 0, failed = 0, skipped = 0, total = 0, seconds = seconds, notes = {},
    seed = opts.shuffle and opts.seed or nil, written = 0, removed = 0, unused = 0,
  }
  for _, file in ipairs(list) do
    for _, t in ipairs(file.tests) do
      s[t.status], s.total = s[t.status] + 1, s.total + 1
    end
    for _, key in ipairs { "written", "removed", "unused" } do s[key] = s[key] + (file.snapshots[key] or 0) end
  end
  if s.written > 0 then s.notes[#s.notes + 1] = text.count(s.written, "snapshot") .. " written" end
  if s.removed > 0 then s.notes[#s.notes + 1] = text.count(s.removed, "unused snapshot") .. " removed" end
  if s.unused > 0 then
    s.notes[#s.notes + 1] = text.count(s.unused, "unused snapshot") .. "; --update-snapshots removes them"
  end
  return s
end

-- The table of lines that ran, and the file of them.
local function note_coverage(list, args, summary)
  local total = {}
  for _, file in ipairs(list) do coverage.add(total, file.coverage, file.home) end
  summary.coverage = json.array((coverage.summary(total)))
  if args.coverage then
    local lines = coverage.table(total)
    table.move(lines, 1, #lines, #summary.notes + 1, summary.notes)
  end
  if args.coverage_file then assert(fs.write(args.coverage_file, coverage.lcov(total))) end
end

local function document(list, s)
  local out = {
    coverage = s.coverage,
    passed = s.passed, failed = s.failed, skipped = s.skipped, total = s.total, seconds = s.seconds, seed = s.seed,
    tests = json.array {},
  }
  for _, file in ipairs(list) do
    for _, t in ipairs(file.tests) do
      local f = t.failure
      out.tests[#out.tests + 1] = {
        file = file.name, name = t.name, status = t.status, seconds = t.seconds, why = t.why, again = t.again,
        message = f and f.message, where = f and f.where, lines = f and json.array(f.lines or {}),
      }
    end
  end
  return out
end

-- Where a report goes: standard output, or standard error where that is kept for one JSON document.
local function writer(ctx)
  local write = ctx.json and host.write_err or host.write
  return function(s)
    local ok, err = write(context.safe(s))
    if not ok then error(err, 0) end
  end
end

local function reporter_of(ctx, args)
  local format = args.format
  if format == "auto" then format = host.isatty(1) and not ctx.json and "pretty" or "tap" end
  return require("moongate.cli.test." .. format).new(writer(ctx), ctx)
end

local function in_ci()
  local ci = (host.getenv "CI" or ""):lower()
  return ci ~= "" and ci ~= "false" and ci ~= "0"
end

local function seed_of(ctx, args)
  if ctx.opts.seed then return ctx.opts.seed end
  if args.shuffle then return math.random(1, 999999) end
  return 1
end

-- A file's process. The parent gives it folders of its own.
local function worker(ctx, args)
  return require("moongate.cli.test.worker").run(args.path[1], {
    filter = args.filter, shuffle = args.shuffle, update = args.update_snapshots, ci = in_ci(),
    seed = ctx.opts.seed or 1, folder = args.folder, coverage = args.coverage,
    crash = args.crash_everywhere, repeat_writes = args.repeat_writes,
  })
end

local function nothing(what)
  errors.raise {
    code = "usage", message = what,
    hint = "tests are in files test_*.lua and *_test.lua, in this folder or in ./tests; `moongate help test` has more",
  }
end

function M.run(ctx, args)
  host.allow_all() -- what is tested is the user's own, and a test makes files and servers
  if args.worker then return worker(ctx, args) end
  local folder <close> = assert(child.folder())
  local paths = files.collect(args.path)
  if #paths == 0 then nothing "no tests found" end
  local list = {}
  local clock = args.clock ~= "auto" and args.clock or nil
  for i, path in ipairs(paths) do list[i] = new_file(path, clock) end
  local opts = {
    seed = seed_of(ctx, args), filter = args.filter, shuffle = args.shuffle, update_snapshots = args.update_snapshots,
    crash_everywhere = args.crash_everywhere, repeat_writes = args.repeat_writes,
    coverage = args.coverage or args.coverage_file ~= nil, timeout = args.timeout, globals = ctx.opts,
    folder = folder:path(),
  }
  if opts.shuffle then shuffled(list, opts.seed) end
  local started = time.monotonic()
  local reporter = reporter_of(ctx, args)
  run_all(list, args, opts, reporter)
  local summary = summary_of(list, opts, time.monotonic() - started)
  if summary.total == 0 then nothing(args.filter and "no test's name has the text of --filter" or "no tests found") end
  if args.coverage or args.coverage_file then note_coverage(list, args, summary) end
  reporter:finished(summary)
  if args.junit then assert(fs.write(args.junit, junit.document(list, summary))) end
  ctx:result(document(list, summary))
  return summary.failed == 0 and 0 or 1
end

return M
