-- queue.lua - the declaration of `moongate queue`, see commands.lua.

return {
  name = "queue",
  summary = "writes that were kept (--queue) until the gateway takes them",
  commands = {
    {
      name = "list",
      exits = { 1 },
      summary = "show what waits, the oldest first",
      flags = { { "all", "those that were sent, replaced or dropped, too", type = "boolean" } },
      examples = { { "moongate queue list" } },
    },
    {
      name = "show",
      exits = { 1, 3 },
      summary = "show one write, and what it was to change when it was queued",
      args = { { "id", "its number" } },
      examples = { { "moongate queue show 12" } },
    },
    {
      name = "flush",
      exits = "workflow",
      summary = "send what waits for this gateway",
      description = {
        "Each resource is read afresh and what will change is shown before it is sent, with the ETag that it has",
        "now. One that somebody else has changed since is a conflict, and stays; so does what comes after it. With",
        "--dry-run nothing is sent. Exit status 0: nothing is left; else that of the first that was not sent; 6: the",
        "gateway is still away.",
      },
      args = { { "id", "send these alone", repeated = true, optional = true } },
      flags = {
        { "on-conflict", "what to do with what somebody else has changed meanwhile (default: as it was queued)",
          choices = { "fail", "rebase", "overwrite" } },
      },
      examples = { { "moongate queue flush --dry-run", "what would change now" }, { "moongate queue flush" } },
    },
    {
      name = "drop",
      exits = { 1, 3, 5 },
      summary = "give writes up",
      args = { { "id", "its number", repeated = true } },
      examples = { { "moongate queue drop 12" } },
    },
  },
}
