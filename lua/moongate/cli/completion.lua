-- completion.lua - `moongate completion SHELL`. What can stand where is read off the command table and the bundled
-- workflows once, here; completion/bash.lua and its neighbours say it in a shell's language.
local bundled = require "moongate.bundled"
local commands = require "moongate.cli.commands"

local M = {}

-- What a word of a value can be: {"file"}, {"folder"}, {"words", list}, {"workflow"}, {"command"} or {"any"}.
local BY_VALUE = { FILE = "file", PATH = "file", DIR = "folder" }
local BY_NAME = {
  file = "file", path = "file", config = "file", script = "workflow", workflow = "workflow", dir = "folder",
  command = "command",
}

local function of_flag(flag)
  if flag.type == "boolean" then return nil end
  if flag.choices then return { "words", flag.choices } end
  return { BY_VALUE[flag.value] or "any" }
end

local function of_arg(arg, is_workflow)
  if arg.choices then return { "words", arg.choices } end
  return { is_workflow and "file" or BY_NAME[arg[1]] or "any" }
end

local function flags_of(list)
  local out = {}
  for i, flag in ipairs(list or {}) do
    out[i] = {
      name = flag[1], letter = flag.letter, summary = flag[2] or "", value = of_flag(flag), words = flag.nargs or 1,
      shown = flag.value or flag[1]:upper(), repeated = flag.repeated,
    }
  end
  return out
end

local function node(path, spec, is_workflow)
  local args = {}
  for i, arg in ipairs(spec.args or {}) do
    args[i] = of_arg(arg, is_workflow)
    args[i].name, args[i].repeated = arg[1], arg.repeated
  end
  if spec.name == "run" then args[2] = { "file", name = "args", repeated = true } end
  return { path = path, summary = spec.summary or "", flags = flags_of(spec.flags), args = args }
end

-- M.tree() -> {globals = flags, nodes = {{path, summary, flags, args, subs = {{name, summary}} | nil}}}
function M.tree()
  local nodes = {}
  for _, command in ipairs(commands.commands) do
    local own = node(command.name, command)
    nodes[#nodes + 1] = own
    if command.commands then
      own.subs = {}
      for i, sub in ipairs(command.commands) do
        own.subs[i] = { name = sub.name, summary = sub.summary or "" }
        nodes[#nodes + 1] = node(command.name .. " " .. sub.name, sub)
      end
    end
  end
  for _, name in ipairs(bundled.names()) do nodes[#nodes + 1] = node(name, bundled.load(name), true) end
  return { globals = flags_of(commands.globals), nodes = nodes }
end

function M.run(ctx, args)
  ctx:text(require("moongate.cli.completion." .. args.shell).script(M.tree()))
end

return M
