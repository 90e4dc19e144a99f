-- lease.lua - the declaration of `moongate lease`, see commands.lua.

return {
  name = "lease",
  summary = "list or break leases of runs and resources",
  commands = {
    {
      name = "list",
      exits = { 1 },
      summary = "list leases with their holders and expiry",
      description = {
        "A process renews its leases while it runs. The next process that needs a lease takes it over once it has",
        "expired, or when its holder on this machine has died.",
      },
      examples = { { "moongate lease list" }, { "moongate lease list --state postgres://db/moongate --json" } },
    },
    {
      name = "break",
      exits = { 1, 3 },
      summary = "release leases of a dead or hanging process",
      description = {
        "For a holder that hangs, or has died on another machine. A holder that is still alive notices the loss before",
        "its next write and stops writing. NAME is the name of a lease or a unique part of it. The broken lease is",
        "recorded in the audit log.",
      },
      args = { { "name", "a lease, or a part of its name", repeated = true } },
      examples = { { "moongate lease break indexes/orders" } },
    },
  },
}
