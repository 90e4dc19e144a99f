-- commands.lua - what begins with ":" at the prompt.
local errors = require "moongate.error"
local fail = require "moongate.fail"
local host = require "moongate.host"
local suggest = require "moongate.suggest"

local M = {}

-- Each: {name, what it takes, summary, run = function(repl, words, forced)}
local list = {}

local function command(name, takes, summary, run)
  list[#list + 1] = { name, takes, summary, run = run }
  list[name] = list[#list]
end

-- "on" or "off"; nothing: the other way round.
local function switch(words, now)
  if words == "" then return not now end
  if words ~= "on" and words ~= "off" then fail.usage("on or off, not '%s'", words) end
  return words == "on"
end

local function needed(words, what)
  if words == "" then fail.usage("%s is missing", what) end
  return words
end

-- The values of an expression, or nothing when it was told why not.
local function evaluate(repl, words)
  local chunk = require "moongate.repl.chunk"
  local fn, kind = chunk.compile(needed(words, "an expression"), repl.session.env)
  if not fn then
    if type(kind) == "table" then error(kind, 0) end
    fail.usage("'%s' is not a complete expression", words)
  end
  local status, results = repl.session:call(fn)
  if status == "ok" then return results end
  repl:outcome(status, results)
end

command("help", "[NAME]", "what there is, or what is known of NAME", function(repl, words)
  local text, hint = require("moongate.repl.help").of(repl.session, words ~= "" and words or nil)
  if not text then fail.usage("no help for %s%s", words, hint) end
  host.write(text .. "\n")
end)

command("type", "EXPR", "what kind of value it is, without showing it", function(repl, words)
  local results = evaluate(repl, words)
  if not results then return end
  local parts = {}
  for i = 1, results.n do parts[i] = require("moongate.repl.kind").of(repl.session, results[i]) end
  host.write((#parts > 0 and table.concat(parts, "\n") or "no value") .. "\n")
end)

command("time", "EXPR", "the value, and how long it took", function(repl, words)
  local time = require "moongate.time"
  local started = time.monotonic()
  local results = evaluate(repl, words)
  if not results then return end
  local seconds = time.monotonic() - started
  repl:shown(results)
  host.write_err(seconds < 1 and ("%.2f ms\n"):format(seconds * 1000) or ("%.3f s\n"):format(seconds))
end)

command("load", "FILE", "run a Lua file with the session's globals", function(repl, words)
  repl:outcome(repl.session:load(needed(words, "FILE")))
end)

-- A file of somebody else, or one that was changed since the session wrote it, is not lost by a short name.
local function check_ours(repl, path)
  repl.saved = repl.saved or {}
  if host.fs.stat(path) and (not repl.saved[path] or host.fs.read(path) ~= repl.saved[path]) then
    fail.usage("%s is there, and %s; `:save! %s` overwrites it", path,
      repl.saved[path] and "was changed since it was saved" or "this session has not written it", path)
  end
end

command("save", "FILE", "write what was done here as a workflow; `:save!` over any file", function(repl, words, force)
  local path = needed(words, "FILE")
  if not force then check_ours(repl, path) end
  local text, dry = require("moongate.repl.save").text(repl.session, path)
  local ok, err = host.fs.write(path, text)
  if not ok then error(err, 0) end
  repl.saved = repl.saved or {}
  repl.saved[path] = text
  local n = select(2, text:gsub("\n", ""))
  host.write_err(("%s: %d lines%s; moongate run %s\n"):format(path, n,
    dry > 0 and (" (commented out: %d statement%s entered under :dry on)"):format(dry, dry == 1 and "" or "s") or "",
    path))
end)

command("dry", "on|off", "show writes instead of sending them", function(repl, words)
  repl.session:set_dry(switch(words, repl.session.run.dry_run))
  host.write_err(repl.session.run.dry_run and "writes are shown, not sent\n" or "writes are sent\n")
end)

command("trace", "on|off", "log every request", function(repl, words)
  local log = require "moongate.log"
  repl.level = repl.level or log.level()
  repl.traced = switch(words, repl.traced)
  log.level(repl.traced and "trace" or repl.level)
end)

command("quit", "", "end the session; so does Ctrl-D", function(repl) repl.ended = true end)

-- {":load FILE", summary} each
function M.rows()
  local rows = {}
  for i, entry in ipairs(list) do
    rows[i] = { ":" .. entry[1] .. (entry[2] ~= "" and " " .. entry[2] or ""), entry[3] }
  end
  return rows
end

function M.names()
  local names = {}
  for i, entry in ipairs(list) do names[i] = entry[1] end
  return names
end

-- A line that begins with ":".
function M.run(repl, line)
  local name, words = line:match "^%s*:%s*(%S*)%s*(.-)%s*$"
  local ok, err = pcall(function()
    local forced = name == "save!"
    local found = forced and list.save or list[name] or name == "q" and list.quit
    if not found then
      errors.raise {
        code = "usage", message = ("unknown command ':%s'%s"):format(name, suggest.hint(name, M.names(), ":")),
        hint = ":help lists the commands",
      }
    end
    found.run(repl, words, forced)
  end)
  if not ok then repl:outcome("failed", err) end
end

return M
