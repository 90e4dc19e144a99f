-- repl.lua - `moongate repl`, as commands.lua wants it: data only.
return {
  name = "repl",
  exits = "workflow",
  summary = "start an interactive Lua prompt",
  description = {
    "Runs each line in a task and shows its result. Calls that wait (http.get, gw:get) work as in a workflow.",
    "Modules need no require, gw is the gateway, `_` the last result. Type help() or :help for help. Input from a",
    "pipe runs without a prompt and ends at the first failure, with its exit status.",
  },
  flags = {
    { "init", "run FILE first, with the session's globals", letter = "i", value = "FILE", repeated = true },
  },
  examples = {
    { "moongate repl --sim", "no account needed" },
    { "moongate repl -i helpers.lua" },
    { "echo 'uuid.v7()' | moongate repl" },
  },
}
