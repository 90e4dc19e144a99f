-- lease.lua - the declaration of `moongate lease`, see commands.lua.

return {
  name = "lease",
  summary = "which runs and resources are held by which process",
  commands = {
    {
      name = "list",
      exits = { 1 },
      summary = "show what is held, by whom and until when",
      description = {
        "A lease is renewed while its holder lives. One whose holder is gone from this machine, or that has run out,",
        "is taken over by whoever wants it next.",
      },
      examples = { { "moongate lease list" }, { "moongate lease list --state postgres://db/moongate --json" } },
    },
    {
      name = "break",
      exits = { 1, 3 },
      summary = "take leases from their holder",
      description = {
        "For a holder that hangs, or is gone from another machine. A holder that lives after all finds out before",
        "its next write, and writes no more. NAME is a lease's name, or a part of it that no other lease has. The",
        "audit log says what was broken.",
      },
      args = { { "name", "a lease, or a part of its name", repeated = true } },
      examples = { { "moongate lease break indexes/orders" } },
    },
  },
}
