-- fmt.lua - `moongate fmt`.
return {
  name = "fmt",
  summary = "lay Lua files out anew, with StyLua",
  description = {
    "Calls stylua, which has to be installed, on the files and folders given, or on the one we are in. A stylua.toml",
    "says how the files are to look. With --dry-run nothing is written, as with --check.",
  },
  args = { { "path", "a Lua file or a folder", optional = true, repeated = true } },
  flags = { { "check", "write nothing; exit status 1 when a file would change", type = "boolean" } },
  examples = { { "moongate fmt workflows" }, { "moongate fmt --check" } },
}
