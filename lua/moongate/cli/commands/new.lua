-- new.lua - `moongate new`.
return {
  name = "new",
  summary = "begin a workflow: a folder with it, its test, a sample of its input and a project file",
  description = {
    "Writes the folder NAME. What is in it passes `moongate check` and `moongate test` as it is; nothing that is",
    "there already is overwritten.",
  },
  args = { { "name", "the workflow's name: lower-case words joined by '-'" } },
  examples = { { "moongate new reindex && cd reindex && moongate test" } },
}
