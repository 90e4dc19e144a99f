-- queue.lua - the declaration of `moongate queue`, see commands.lua. `work` and `outbox` use parts of it.

local KIND = { "kind", "what waits: webhook messages, prompts or writes (default: found by the id, or all)",
  choices = { "message", "prompt", "write" } }
local NAME = { "name", "a queue of prompts" }

local M = {}

M.limit = { "limit", "maximum number of messages shown", type = "integer", min = 1, max = 100000, default = 100,
  value = "N" }
M.status = { "status", "only those in this state", value = "STATUS",
  choices = { "queued", "waiting", "running", "done", "failed", "dead", "dropped", "all" } }
M.all_dead = { "all-dead", "every dead message", type = "boolean" }
M.failed = { "failed", "also the prompts that were refused", type = "boolean" }
M.drop = {
  { "finished", "prompts that have a result", type = "boolean" },
  { "dead", "prompts that are dead", type = "boolean" },
  { "all", "all prompts of the queue, and the queue", type = "boolean" },
}
M.watch = { "watch", "deliver messages when they are due, until stopped", type = "boolean" }

M.work = {
  name = "work",
  exits = "workflow",
  summary = "process a queue of prompts",
  description = {
    "Sends the prompts that `route-prompts --enqueue` has put into a queue of the store. Any number of machines may",
    "do so, at any time, with --state postgres://… on one host or many. How many are sent in parallel and how many",
    "per second is counted for all of them together. Ctrl-C or SIGTERM ends a worker; one that is killed loses",
    "nothing. See docs/work.md.",
  },
  flags = {
    { "queue-name", "name of the queue", value = "NAME", default = "prompts" },
    { "concurrency", "prompts in parallel here; the queue has its own limit", type = "integer", default = 16,
      min = 1, max = 1000, letter = "c", value = "N" },
    { "drain", "end when nothing is left to do", type = "boolean" },
  },
  examples = { { "moongate queue work --drain" }, { "moongate queue work --state postgres://db/moongate -c 32" } },
}

M.results = {
  name = "results",
  exits = { 1, 3, 9 },
  summary = "print the results of prompts as JSON lines",
  description = {
    "The lines that route-prompts prints, in the order of the input. Unfinished prompts are skipped, and counted on",
    "standard error; with --follow each is waited for. With --json they are one document, {results, …}.",
  },
  args = { NAME },
  flags = { { "follow", "wait for each until all results are printed", type = "boolean", letter = "f" } },
  examples = { { "moongate queue results prompts --follow > results.jsonl" } },
}

M.set = {
  name = "set",
  exits = { 1, 3 },
  summary = "change the limits of a queue of prompts",
  description = { "They hold for all its workers, from now on." },
  args = { NAME },
  flags = {
    { "concurrency", "maximum number of prompts in parallel", type = "integer", min = 1, max = 100000, value = "N" },
    { "rate", "prompts started per second; 0: no limit", type = "number", min = 0, max = 100000, value = "N" },
    { "attempts", "tries of a prompt before it is dead", type = "integer", min = 1, max = 1000, value = "N" },
    { "backoff", "wait before the second try; it doubles each time", type = "duration", value = "DURATION" },
    { "lease", "time after which a silent worker loses its prompts", type = "duration", value = "DURATION" },
    { "grace", "wait before a dead worker's prompts are sent again", type = "duration", value = "DURATION" },
  },
  examples = { { "moongate queue set prompts --concurrency 64 --rate 20" } },
}

M.group = {
  name = "queue",
  summary = "messages, prompts and writes that wait in the store",
  description = {
    "One queue for all that waits: webhook messages until they are delivered, prompts of `route-prompts --enqueue`",
    "until a worker has sent them, writes kept with --queue until the gateway takes them. A write has a number, a",
    "message an id, and prompts are in queues that have names. States: queued, waiting, running, done, failed, dead,",
    "dropped. `moongate work` and `moongate outbox` are other names for the same, until 1.0.",
  },
  commands = {
    {
      name = "list",
      exits = { 1 },
      summary = "list what waits",
      description = {
        "Messages to be delivered and dead ones, the newest first; queues of prompts, with their limits and workers;",
        "queued writes, the oldest first. A URL is shown without its path, which may be a secret.",
      },
      flags = { KIND, M.status, { "all", "also those that are done or dropped", type = "boolean" }, M.limit },
      examples = { { "moongate queue list" }, { "moongate queue list --kind message --status dead --json" } },
    },
    {
      name = "show",
      exits = { 1, 3 },
      summary = "show a message, a write or a queue of prompts",
      args = { { "id", "the id of a message, the number of a write, or a queue" } },
      flags = { KIND },
      examples = { { "moongate queue show 12" }, { "moongate queue show prompts" } },
    },
    {
      name = "retry",
      exits = { 1, 3, 5 },
      summary = "reset the retries of messages or prompts",
      description = {
        "For dead messages when their receiver works again; also for waiting ones. A message for a webhook of the",
        "project file goes to the URL that the file has now; a webhook that was disabled by a 410 is enabled.",
        "With the name of a queue: all its dead prompts. Sends nothing itself.",
      },
      args = { { "id", "the id of a message, or a queue of prompts", repeated = true, optional = true } },
      flags = { M.all_dead, M.failed, KIND },
      examples = { { "moongate queue retry --all-dead" }, { "moongate queue retry prompts --failed" } },
    },
    {
      name = "drop",
      exits = { 1, 3, 5 },
      summary = "discard messages, writes or prompts",
      description = { "The audit log names each message and write. Of prompts, their results are deleted, too." },
      args = { { "id", "the id of a message, the number of a write, or a queue", repeated = true } },
      flags = { M.drop[1], M.drop[2], M.drop[3], KIND },
      examples = { { "moongate queue drop 12" }, { "moongate queue drop prompts --finished" } },
    },
    {
      name = "flush",
      exits = "workflow",
      summary = "send queued writes, or messages, now",
      description = {
        "Writes for this gateway: each resource is read again and the changes are shown before it is sent, with the",
        "ETag that it has now. One that another client has modified is a conflict, and stays; so does what comes after",
        "it. With --dry-run nothing is sent. Exit status 0: nothing is left; 6: the gateway is still unavailable; else",
        "that of the first that was not sent.",
        "With --kind message: one request for each message, due or not. Exit status 0: nothing is left; 9: something",
        "is kept for later; 1: something is dead now. With --watch it continues, each message at its time, until",
        "Ctrl-C or SIGTERM ends it, with status 0.",
      },
      args = { { "id", "the number of a write", repeated = true, optional = true } },
      flags = {
        { "on-conflict", "what to do when another client modified a resource", choices = { "fail", "rebase",
          "overwrite" } },
        M.watch,
        { "kind", "writes or messages (default: write)", choices = { "message", "write" } },
      },
      examples = { { "moongate queue flush --dry-run", "what would change now" }, { "moongate queue flush" },
        { "moongate queue flush --kind message --watch" } },
    },
    M.work, M.set, M.results,
  },
}

return M
