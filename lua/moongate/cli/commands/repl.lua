-- repl.lua - `moongate repl`, as commands.lua wants it: data only.
return {
  name = "repl",
  exits = "workflow",
  summary = "try things at a prompt",
  description = {
    "Reads Lua, runs each line in a task and shows what comes of it: http.get, gw:get and everything else that",
    "waits works as in a workflow. Modules are there without require, gw is the gateway, `_` the last result.",
    "help() and :help explain. From a pipe the lines are a script: no prompt, and the first failure ends it with",
    "its exit status.",
  },
  flags = {
    { "init", "run this file first, with the session's globals", letter = "i", value = "FILE", repeated = true },
  },
  examples = {
    { "moongate repl --sim", "no account needed" },
    { "moongate repl -i helpers.lua" },
    { "echo 'uuid.v7()' | moongate repl" },
  },
}
