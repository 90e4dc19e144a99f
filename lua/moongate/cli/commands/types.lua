-- types.lua - the declaration of `moongate types`, see commands.lua.
return {
  name = "types",
  summary = "write type definitions for editors",
  description = {
    "Writes LuaLS annotations of all modules into DIR, and a .luarc.json into the working directory, so that editors",
    "with lua-language-server complete and check scripts. An existing .luarc.json is not changed; the lines to add",
    "are printed.",
  },
  args = { { "dir", "folder (default .moongate/types)", optional = true } },
  examples = { { "moongate types" }, { "moongate types ~/.local/share/moongate/types" } },
}
