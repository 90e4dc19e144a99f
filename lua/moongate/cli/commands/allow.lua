-- allow.lua - the declaration of `moongate allow`, see commands.lua.
return {
  name = "allow",
  exits = { 1, 3 },
  summary = "trust a folder: its workflows, and what its project file grants",
  description = {
    "What lies in a folder may have come from anybody, with a cloned repository for example. Until you allow the",
    "folder, its workflows are neither listed nor run, and the permissions of its moongate.lua are not granted; its",
    "other settings count if nobody but you could have written the file. A moongate.lua that another user owns or",
    "could have written is not used at all. An allowance holds until moongate.lua changes. Look at the files first.",
  },
  args = { { "dir", "the folder (default: this one)", optional = true } },
  flags = { { "remove", "no longer trust it", type = "boolean" } },
  examples = { { "moongate allow" }, { "moongate allow ../deployments --remove" } },
}
