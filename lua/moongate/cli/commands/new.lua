-- new.lua - `moongate new`.
return {
  name = "new",
  summary = "create a workflow project with a test and sample input",
  description = {
    "Creates the folder NAME with a workflow, its test, sample input and a project file. They pass `moongate check`",
    "and `moongate test` unchanged. Existing files are not overwritten.",
  },
  args = { { "name", "name of the workflow: lower-case words joined by '-'" } },
  examples = { { "moongate new reindex && cd reindex && moongate test" } },
}
