-- types.lua - the declaration of `moongate types`, see commands.lua.
return {
  name = "types",
  summary = "write what an editor needs to know our modules",
  description = {
    "Writes the types and docs of all modules (LuaLS annotations) into DIR, and a .luarc.json beside them in the",
    "working directory, so that an editor with lua-language-server completes and checks scripts. A .luarc.json that",
    "is there already is left as it is, and what to put into it is said.",
  },
  args = { { "dir", "where to (default .moongate/types)", optional = true } },
  examples = { { "moongate types" }, { "moongate types ~/.local/share/moongate/types" } },
}
