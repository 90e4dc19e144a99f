-- allow.lua - the declaration of `moongate allow`, see commands.lua.
return {
  name = "allow",
  exits = { 1, 3 },
  summary = "trust a folder's workflows and project file",
  description = {
    "Files in a folder may be untrusted, in a cloned repository for example. Until you allow the folder, its workflows",
    "are neither listed nor run, and the permissions in its moongate.lua are not granted; its other settings apply",
    "only if no other user can write the file. A moongate.lua that another user owns or can write is ignored. Read the",
    "files before you allow them. When moongate.lua changes, allow the folder again.",
  },
  args = { { "dir", "the folder (default: this one)", optional = true } },
  flags = { { "remove", "revoke the trust", type = "boolean" } },
  examples = { { "moongate allow" }, { "moongate allow ../deployments --remove" } },
}
