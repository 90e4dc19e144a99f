-- process.lua - a file of tests in a process of its own: started, listened to, ended when it takes too long.
local child = require "moongate.child"
local host = require "moongate.host"
local json = require "moongate.json"
local task = require "moongate.task"

local M = {}

-- Global flags that a file's process gets as they were given.
local PASSED = { "lua_dir", "log_level", "cacert", "config", "deadline", "max_time", "max_memory" }

local PATHS = { lua_dir = true, cacert = true, config = true }

-- The process may start in another folder.
local function absolute(path)
  return path:sub(1, 1) == "/" and path or ("%s/%s"):format(host.cwd(), path)
end

local function flag(key) return "--" .. key:gsub("_", "-") end

-- The command line of the file's process.
local function command(self, file, opts)
  local args = {
    self, "test", "--worker", "--clock", opts.clock, "--seed", tostring(opts.seed), "--folder", opts.folder,
    "--state", opts.state,
  }
  local function add(...) table.move({ ... }, 1, select("#", ...), #args + 1, args) end
  for _, key in ipairs(PASSED) do
    local value = opts.globals[key]
    if value then add(flag(key), PATHS[key] and absolute(value) or tostring(value)) end
  end
  if (opts.globals.verbose or 0) > 0 then add "-v" end
  if opts.filter then add("--filter", opts.filter) end
  if opts.shuffle then add "--shuffle" end
  if opts.update_snapshots then add "--update-snapshots" end
  if opts.coverage then add "--coverage" end
  if opts.crash_everywhere then add "--crash-everywhere" end
  if opts.repeat_writes then add "--repeat-writes" end
  add("--", file)
  return args
end

-- A stream of text and records, fed in pieces: handler.record(table), handler.text(string).
local function splitter(handler)
  local rest = ""
  local function text(s)
    if s ~= "" then handler.text(s) end
  end
  return function(piece)
    rest = rest .. piece
    while true do
      local at = rest:find("\30", 1, true)
      if not at then
        text(rest)
        rest = ""
        return
      end
      text(rest:sub(1, at - 1))
      local line_end = rest:find("\n", at, true)
      if not line_end then
        rest = rest:sub(at)
        return
      end
      local record = json.decode(rest:sub(at + 1, line_end - 1))
      if record then handler.record(record) else text(rest:sub(at + 1, line_end)) end
      rest = rest:sub(line_end + 1)
    end
  end
end

local function how_it_ended(c, timed_out, seconds)
  if timed_out then return ("it took longer than %g s and was ended"):format(seconds) end
  local status, signal = c:status()
  if signal ~= 0 then return ("its process was ended by signal %d"):format(signal) end
  return ("its process ended with status %d"):format(status)
end

-- M.run(file, opts, handler) -> nil when the process ended as it should, else how it ended. handler.record(table) and
-- handler.text(text) are called as things come. opts: clock, seed, folder, state, home, path (the file's, from home),
-- timeout (seconds), globals (host.options()), filter, shuffle, update_snapshots, coverage.
function M.run(opts, handler)
  local self = assert(child.self())
  local c <close> = assert(child.start { args = command(self, opts.path, opts), folder = opts.home })
  local finished, failed, timed_out = false, false, false
  local feed = splitter {
    text = handler.text,
    record = function(r)
      finished = finished or r.event == "finished"
      failed = failed or r.event == "broken" or r.status == "failed"
      handler.record(r)
    end,
  }
  local watch = task.spawn(function()
    task.sleep(opts.timeout)
    timed_out = true
    c:kill()
  end)
  for piece in function() return c:read() end do feed(piece) end
  watch:cancel()
  local status = c:status()
  if finished and not timed_out and status == (failed and 1 or 0) then return nil end
  return how_it_ended(c, timed_out, opts.timeout)
end

return M
