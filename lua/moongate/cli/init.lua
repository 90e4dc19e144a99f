-- cli: the command line. main(argv) -> exit status
local host = require "moongate.host"
local sandbox = require "moongate.sandbox"
local task = require "moongate.task"

local M = {}

local function report(err)
  local text = tostring(err)
  if type(err) == "table" and err.where then text = err.where .. ": " .. text end
  host.write_err("moongate: " .. text .. "\n")
  if type(err) == "table" and err.traceback then host.write_err(err.traceback .. "\n") end
  return 1
end

-- Runs fn(...) as a task of its own; status 0, or 1 after a report.
local function run(fn, ...)
  local t = task.spawn(fn, ...)
  local _, err = t:join()
  if t:status() ~= "done" then return report(err) end
  return 0
end

local function usage()
  host.write_err "usage: moongate -e CHUNK | run FILE [args] | test FILE...\n"
  return 2
end

function M.main(argv)
  local command = argv[1]
  if command == "-e" and argv[2] then
    local fn, err = sandbox.load_chunk(argv[2], "=(command line)", ".")
    if not fn then return report(err) end
    return run(fn, table.unpack(argv, 3))
  elseif command == "run" and argv[2] then
    local fn, err = sandbox.load_script(argv[2])
    if not fn then return report(err) end
    return run(fn, table.unpack(argv, 3))
  elseif command == "test" and argv[2] then
    return require("moongate.test").main(table.pack(table.unpack(argv, 2)))
  end
  return usage()
end

return M
