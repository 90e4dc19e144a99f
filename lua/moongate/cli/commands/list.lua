-- list.lua - the declarations of `moongate list` and `moongate show`, see commands.lua.
return {
  {
    name = "list",
    exits = {},
    summary = "name the workflows there are",
    description = {
      "Workflows come with the program, or lie in ./workflows or a folder of $MOONGATE_PATH: workflows/my_job.lua is",
      "the command my-job. What comes with the program goes first, then the folders in that order; a file that is",
      "hidden by another of its name is listed with what hides it.",
    },
    flags = {
      { "category", "only those of this category: read, write, destructive, or a subject; of all, if repeated",
        value = "CATEGORY", repeated = true },
      { "names", "names alone, a line each", type = "boolean" },
    },
    examples = { { "moongate list" }, { "moongate list --category read" }, { "moongate list --json" } },
  },
  {
    name = "show",
    exits = { 3 },
    summary = "say what a workflow does, takes, needs, and where it lies",
    args = { { "workflow", "its name, or a file" } },
    examples = { { "moongate show deploy-index" }, { "moongate show workflows/my_job.lua --json" } },
  },
}
