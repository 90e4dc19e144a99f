-- check.lua - `moongate check`.
return {
  name = "check",
  exits = { 3 },
  summary = "check Lua files without running them",
  description = {
    "Reports, as FILE:LINE:COLUMN: syntax errors; undefined globals; unknown modules, fields, methods and options;",
    "permissions that a workflow needs but does not declare; steps in a loop over pairs, whose order may differ when",
    "a run is resumed. A folder means all .lua files below it; the default is the current folder. Project files",
    "are recognised by the name moongate.lua or by their contents.",
  },
  args = { { "file", "a Lua file or a folder", optional = true, repeated = true } },
  flags = {
    { "project-file", "check FILE as a project file", repeated = true, value = "FILE" },
  },
  examples = {
    { "moongate check my_workflow.lua" },
    { "moongate check --json scripts" },
    { "moongate check --project-file staging.lua workflows" },
  },
}
