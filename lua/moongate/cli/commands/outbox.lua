-- outbox.lua - the declaration of `moongate outbox`, see commands.lua.

local ID = { "id", "a message's id", repeated = true }

return {
  name = "outbox",
  summary = "webhook messages that are kept until they are delivered",
  commands = {
    {
      name = "list",
      exits = { 1 },
      summary = "show what is to be delivered, and what was given up",
      description = {
        "The newest first. A URL is shown without its path, which may be a secret.",
      },
      flags = {
        { "status", "only those in this state; all: delivered and dropped ones, too", value = "STATUS",
          choices = { "queued", "waiting", "running", "done", "dead", "dropped", "all" } },
        { "limit", "so many at most", type = "integer", min = 1, max = 100000, default = 100, value = "N" },
      },
      examples = { { "moongate outbox list" }, { "moongate outbox list --status dead --json" } },
    },
    {
      name = "show",
      exits = { 1, 3 },
      summary = "show one message, with its body",
      args = { { "id", "a message's id" } },
      examples = { { "moongate outbox show msg_01a1f837-2222-7540-a53f-902f901a06c1" } },
    },
    {
      name = "retry",
      exits = { 1, 3, 5 },
      summary = "give messages their whole schedule again, from now on",
      description = {
        "For dead letters when their receiver is well again; also for pending ones. A message for a webhook of the",
        "project file goes to the URL that the file has now. A webhook that was disabled by a 410 is enabled.",
        "Sends nothing itself: the next run does, or `moongate outbox flush`.",
      },
      args = { { "id", "a message's id", repeated = true, optional = true } },
      flags = { { "all-dead", "every dead letter", type = "boolean" } },
      examples = { { "moongate outbox retry --all-dead && moongate outbox flush" } },
    },
    {
      name = "drop",
      exits = { 1, 3, 5 },
      summary = "give messages up",
      description = { "They are delivered no more; the audit log says so." },
      args = { ID },
      examples = { { "moongate outbox drop msg_01a1f837-2222-7540-a53f-902f901a06c1" } },
    },
    {
      name = "flush",
      exits = { 1, 9 },
      summary = "deliver what is pending, now",
      description = {
        "One request each, due or not; what fails before its time keeps its place in the schedule. Exit status 0:",
        "nothing is left; 9: something is kept for later; 1: something was given up and is a dead letter now.",
        "With --watch it goes on, each message at its time, until Ctrl-C or SIGTERM ends it, with status 0.",
      },
      flags = { { "watch", "go on until stopped", type = "boolean" } },
      examples = { { "moongate outbox flush" }, { "moongate outbox flush --watch --state postgres://db/moongate" } },
    },
  },
}
