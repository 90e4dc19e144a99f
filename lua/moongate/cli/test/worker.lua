-- worker.lua - one file of tests, run in this process. What happens is written to standard output as records, each a
-- byte 0x1e, one line of JSON: `moongate test` (cli/test.lua) reads them and tells people. What tests print themselves
-- goes there, too, between the records.
local coverage = require "moongate.cli.test.coverage"
local errors = require "moongate.error"
local host = require "moongate.host"
local json = require "moongate.json"
local rng = require "moongate.sim.rng"
local sandbox = require "moongate.sandbox"
local show = require "moongate.test.show"
local snapshot = require "moongate.test.snapshot"
local suite = require "moongate.test.suite"
local task = require "moongate.task"
local test = require "moongate.test"
local time = require "moongate.time"
local variants = require "moongate.test.variants"

local M = {}

-- Text as JSON can hold it.
local function clean(s)
  if utf8.len(s) then return s end
  return (s:gsub("[\128-\255]", function(c) return ("\\x%02x"):format(c:byte()) end))
end

local function record(fields)
  for k, v in pairs(fields) do
    if type(v) == "string" then fields[k] = clean(v) end
  end
  assert(host.write("\30" .. require("moongate.plain").write(fields) .. "\n"))
end

-- An error as its place, a message, and what there is below it.
local function describe(err)
  local out = { message = tostring(err), where = err.where }
  if err.assertion then out.message = err.message end
  local place, rest = out.message:match "^([^\n:]+:%d+): (.*)$"
  if place and not out.where then out.where, out.message = place, rest end
  local lines = {}
  for _, line in ipairs(err.diff or {}) do lines[#lines + 1] = clean(line) end
  for _, detail in ipairs(not err.assertion and type(err.details) == "table" and err.details or {}) do
    local text = type(detail) == "table" and tostring(detail.message) or tostring(detail)
    local field = type(detail) == "table" and (detail.field or detail.pointer)
    lines[#lines + 1] = clean("- " .. (field and field ~= "" and field .. ": " or "") .. text)
  end
  if err.value ~= nil then out.message = "raised " .. show.value(err.value) end
  if err.hint then lines[#lines + 1] = clean("hint: " .. err.hint) end
  out.lines = json.array(lines)
  out.traceback = err.traceback and clean(err.traceback) or nil
  out.message, out.where = clean(out.message), out.where and clean(out.where)
  return out
end

local function sink(counts)
  local begun
  return {
    started = function(name)
      begun = time.monotonic()
      record { event = "started", name = name }
    end,
    ended = function(t)
      counts[t.status] = (counts[t.status] or 0) + 1
      record {
        event = "ended", name = t.name, status = t.status, why = t.why, clock = time.monotonic() - begun,
        again = t.again ~= 0 and t.again or nil,
        failure = t.err and describe(t.err) or nil,
      }
    end,
  }
end

-- A random order that comes from the seed and the file's name.
local function shuffler(seed, file)
  local r = rng.new(seed, file)
  return function(n) return (r:u64() >> 1) % n + 1 end
end

local function wanted(filter)
  return filter and function(name) return name:find(filter, 1, true) ~= nil end
end

-- What the project file names is real: tests never call it. Webhooks go to the simulated gateway's receiver
-- (moongate.outbox.target); any other request is refused.
local function refuse_real_urls()
  local found, info = pcall(require("moongate.auth").info)
  local urls = found and { info.api_url, info.login_url } or {}
  for _, hook in pairs(host.project().data.webhooks or {}) do urls[#urls + 1] = hook.url end
  for _, url in pairs(urls) do pcall(host.refuse, url) end
end

-- M.run(file, {filter, shuffle, update, ci, seed, folder, coverage, crash, repeat_writes}) -> exit status.
function M.run(file, opts)
  local counts = {}
  suite.begin {
    sink = sink(counts), wanted = wanted(opts.filter), random = opts.shuffle and shuffler(opts.seed, file) or nil,
  }
  variants.begin { crash = opts.crash, repeat_writes = opts.repeat_writes }
  snapshot.begin(file, opts)
  test.set_folder(opts.folder)
  refuse_real_urls()
  -- Until a test starts a simulated gateway there is none: no test reaches a real one by accident.
  assert(host.use_gateway("http://127.0.0.1:1", "no-gateway", "no-gateway"))
  if opts.coverage then coverage.start() end
  local chunk, err = sandbox.load_test(file)
  if chunk then
    local t = task.spawn(function()
      chunk()
      suite.run()
    end)
    err = select(2, t:join())
    if t:status() == "done" then err = nil end
  end
  if err then
    counts.failed = (counts.failed or 0) + 1
    record { event = "broken", failure = describe(errors.is(err) and err or errors.new(err)) }
  end
  local snapshots = snapshot.finish(not opts.filter and not err)
  record { event = "finished", snapshots = snapshots, coverage = opts.coverage and coverage.counted() or nil }
  return counts.failed and 1 or 0
end

return M
