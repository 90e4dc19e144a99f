-- approve.lua - the declaration of `moongate approve`, see commands.lua.

return {
  name = "approve",
  exits = { 1, 3, 7, 8 },
  summary = "sign a saved plan",
  description = {
    "Shows what the plan changes, asks, and adds a signed note of its id, gateway and number of changes to the",
    "file. `apply` counts the notes of different keys. Without a terminal it needs --yes.",
  },
  args = { { "plan", "the plan's file" } },
  flags = {
    { "key-file", "sign with this key, made by `moongate key new`", value = "FILE", required = true },
    { "name", "set the name of the key (default: from approvals.keys)", value = "NAME" },
    { "expires", "set how long the approval is valid", type = "duration", value = "DURATION", default = "24h" },
    { "yes", "do not ask", type = "boolean" },
  },
  examples = { { "moongate approve plan.json --key-file alice.key --name alice@example.com" } },
}
