-- outbox.lua - the declaration of `moongate outbox`, see commands.lua: other names for parts of `moongate queue`.

local queue = require "moongate.cli.commands.queue"

local ID = { "id", "id of a message", repeated = true }

return {
  name = "outbox",
  summary = "same as moongate queue … --kind message",
  commands = {
    {
      name = "list",
      exits = { 1 },
      summary = "same as moongate queue list --kind message",
      flags = { queue.status, queue.limit },
      examples = { { "moongate outbox list" }, { "moongate outbox list --status dead --json" } },
    },
    {
      name = "show",
      exits = { 1, 3 },
      summary = "same as moongate queue show",
      args = { { "id", "id of a message" } },
      examples = { { "moongate outbox show msg_01a1f837-2222-7540-a53f-902f901a06c1" } },
    },
    {
      name = "retry",
      exits = { 1, 3, 5 },
      summary = "same as moongate queue retry",
      args = { { "id", "id of a message", repeated = true, optional = true } },
      flags = { queue.all_dead },
      examples = { { "moongate outbox retry --all-dead && moongate outbox flush" } },
    },
    {
      name = "drop",
      exits = { 1, 3, 5 },
      summary = "same as moongate queue drop",
      args = { ID },
      examples = { { "moongate outbox drop msg_01a1f837-2222-7540-a53f-902f901a06c1" } },
    },
    {
      name = "flush",
      exits = { 1, 9 },
      summary = "same as moongate queue flush --kind message",
      flags = { queue.watch },
      examples = { { "moongate outbox flush" }, { "moongate outbox flush --watch --state postgres://db/moongate" } },
    },
  },
}
