-- list.lua - the declarations of `moongate list` and `moongate show`, see commands.lua.
return {
  {
    name = "list",
    exits = {},
    summary = "list workflows",
    description = {
      "Lists bundled workflows, then those in ./workflows and in the folders of $MOONGATE_PATH: workflows/my_job.lua",
      "is the command my-job. The first of a name wins; a workflow that is hidden by it is listed with what hides it.",
    },
    flags = {
      { "category", "select a category: read, write, destructive or a subject",
        value = "CATEGORY", repeated = true },
      { "names", "print only names, one per line", type = "boolean" },
    },
    examples = { { "moongate list" }, { "moongate list --category read" }, { "moongate list --json" } },
  },
  {
    name = "show",
    exits = { 3 },
    summary = "show a workflow's arguments, permissions and path",
    args = { { "workflow", "a workflow or a file" } },
    examples = { { "moongate show deploy-index" }, { "moongate show workflows/my_job.lua --json" } },
  },
}
