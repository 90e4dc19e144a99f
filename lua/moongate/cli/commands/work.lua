-- work.lua - the declaration of `moongate work`, see commands.lua.

local NAME = { "name", "a queue" }

return {
  name = "work",
  exits = "workflow",
  bare = true,
  summary = "work a queue of prompts off, together with others",
  description = {
    "Takes prompts that `route-prompts --enqueue` has put into a queue of the store and sends them; any number of",
    "machines may, at any time, with --state postgres://… on one host or many. How many are under way and how many",
    "begin in a second is counted for all of them together. Ctrl-C or SIGTERM ends a worker; one that is killed loses",
    "nothing. See docs/work.md.",
  },
  flags = {
    { "queue-name", "which queue", value = "NAME", default = "prompts" },
    { "concurrency", "prompts in flight here; all workers' together is the queue's", type = "integer", default = 16,
      min = 1, max = 1000, letter = "c", value = "N" },
    { "drain", "end when nothing is left to do", type = "boolean" },
  },
  examples = { { "moongate work --drain" }, { "moongate work --state postgres://db/moongate -c 32" } },
  commands = {
    {
      name = "status",
      exits = { 1, 3 },
      summary = "show queues: their limits, how far they are, who works",
      args = { { "name", "a queue (default: all)", optional = true } },
      examples = { { "moongate work status" } },
    },
    {
      name = "results",
      exits = { 1, 3, 9 },
      summary = "print what has come of a queue's prompts, as JSON lines in the order of the input",
      description = {
        "The lines that route-prompts prints. What is not finished is passed over, and counted on standard error;",
        "with --follow each is waited for. With --json they are one document, {results, …}.",
      },
      args = { NAME },
      flags = { { "follow", "wait for each, until all that is in the queue is out", type = "boolean", letter = "f" } },
      examples = { { "moongate work results prompts --follow > results.jsonl" } },
    },
    {
      name = "set",
      exits = { 1, 3 },
      summary = "change a queue's limits, for all its workers, from now on",
      args = { NAME },
      flags = {
        { "concurrency", "prompts under way at once", type = "integer", min = 1, max = 100000, value = "N" },
        { "rate", "prompts begun in a second; 0: no limit", type = "number", min = 0, max = 100000, value = "N" },
        { "attempts", "tries of a prompt until it is a dead letter", type = "integer", min = 1, max = 1000,
          value = "N" },
        { "backoff", "before the second try, then twice as long each time", type = "duration", value = "DURATION" },
        { "lease", "how long a worker that is not heard of keeps its prompts", type = "duration", value = "DURATION" },
        { "grace", "what was sent by a worker that is gone has to end", type = "duration", value = "DURATION" },
      },
      examples = { { "moongate work set prompts --concurrency 64 --rate 20" } },
    },
    {
      name = "retry",
      exits = { 1, 3 },
      summary = "give dead letters all their tries again",
      args = { NAME },
      flags = { { "failed", "also the prompts that were refused", type = "boolean" } },
      examples = { { "moongate work retry prompts" } },
    },
    {
      name = "drop",
      exits = { 1, 3 },
      summary = "delete prompts of a queue, with their results",
      args = { NAME },
      flags = {
        { "finished", "those that have a result", type = "boolean" },
        { "dead", "the dead letters", type = "boolean" },
        { "all", "all of them, and the queue", type = "boolean" },
      },
      examples = { { "moongate work drop prompts --all" } },
    },
  },
}
