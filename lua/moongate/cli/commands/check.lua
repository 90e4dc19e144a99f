-- check.lua - `moongate check`.
return {
  name = "check",
  exits = { 3 },
  summary = "find faults in Lua files without running them",
  description = {
    "Reports, as FILE:LINE:COLUMN, for all files in one go: syntax errors; global names that nothing defines;",
    "modules, fields and methods that there are not; options that a function does not take; permissions that a",
    "workflow needs and does not declare; steps in a loop over pairs, whose order is another one when a run is",
    "resumed. A folder stands for the .lua files in and below it; without FILEs, the one we are in. A project file",
    "is known by its name, moongate.lua, or by what it is.",
  },
  args = { { "file", "a Lua file or a folder", optional = true, repeated = true } },
  flags = {
    { "project-file", "a project file of another name", repeated = true, value = "FILE" },
  },
  examples = {
    { "moongate check my_workflow.lua" },
    { "moongate check --json scripts" },
    { "moongate check --project-file staging.lua workflows" },
  },
}
