-- help.lua - help at the prompt: help(), help(http.request), help "http.request", help(gw). From lua/meta.
local host = require "moongate.host"

local M = {}

local INTRO = [[
Type Lua; the value of an expression is shown, and `_` is the last one. Calls
that wait work directly: http.get, gw:get, task.sleep. Names stay defined for
the session, local ones too. These modules need no require:

  %s

gw is the gateway, run the object that a workflow gets. For help on one:
help(http.request), help(gw.get), help "gateway"; on a topic: help "exit",
"errors", "files", "flags", "project", "retry", "environment".

%s

Tab completes. Ctrl-C interrupts a line, Ctrl-D ends the session. More:
docs/repl.md.
]]

local function overview(session)
  local text = require "moongate.text"
  local pages = require "moongate.meta.pages"
  local names = {}
  for i, name in ipairs(pages.public_modules()) do names[i] = pages.short(name) end
  return INTRO:format(table.concat(text.wrap(table.concat(names, ", "), text.width() - 2), "\n  "),
    text.columns(session.command_rows(), 2))
end

-- The name by which lua/meta knows a value: of a function, a module, or an object of one of our classes.
local function path_of(session, v)
  if type(v) == "string" then return v end
  if type(v) == "function" then return session:name_of(v) end
  for short in pairs(session.modules) do
    if rawget(session.env, short) == v then return short end
  end
  local mt = host.raw_getmetatable(v)
  for name, known in pairs(host.metatables()) do
    if known == mt then return name end
  end
  if v == session.run then return "workflow.run" end
  if v == rawget(session.run, "gateway") then return "gateway.handle" end
end

-- The method of run or gw that a function is: help(gw.get).
local function method_of(session, fn)
  for class, object in pairs { ["workflow.run"] = session.run, ["gateway.handle"] = rawget(session.run, "gateway") } do
    for _, method in ipairs(require("moongate.meta").class("moongate." .. class).methods) do
      if object[method.name] == fn then return class .. ":" .. method.name end
    end
  end
end

-- M.of(session, value) -> text | nil, hint
function M.of(session, v)
  if v == nil then return overview(session) end
  local path = path_of(session, v) or (type(v) == "function" and method_of(session, v))
  if not path then return nil, "" end
  local topic = type(v) == "string" and session.topic(v)
  if topic then return topic end
  return require("moongate.meta.pages").find(path)
end

-- Puts help into the session's globals. command_rows: -> {command, summary} of each command of the prompt
function M.install(session, command_rows)
  session.command_rows = command_rows
  function session.env.help(...)
    if select("#", ...) == 0 then
      host.write(overview(session))
      return
    end
    local v = ...
    local text, hint = M.of(session, v)
    if not text then
      local what = type(v) == "string" and v or "that"
      error(("no help for %s%s; help() lists the modules"):format(what, hint), 0)
    end
    host.write(text .. "\n")
  end
end

return M
