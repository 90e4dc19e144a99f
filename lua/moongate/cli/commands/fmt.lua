-- fmt.lua - `moongate fmt`.
return {
  name = "fmt",
  summary = "format Lua files with StyLua",
  description = {
    "Runs stylua, which must be installed, on the files and folders given, or on the current folder. stylua.toml",
    "sets the style. With --dry-run nothing is written, as with --check.",
  },
  args = { { "path", "a Lua file or a folder", optional = true, repeated = true } },
  flags = { { "check", "write nothing; exit status 1 when a file would change", type = "boolean" } },
  examples = { { "moongate fmt workflows" }, { "moongate fmt --check" } },
}
