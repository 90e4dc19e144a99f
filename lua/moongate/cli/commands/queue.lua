-- queue.lua - the declaration of `moongate queue`, see commands.lua. `work` and `outbox` use parts of it.

local KIND = { "kind", "select messages, prompts or writes (default: all, or by id)",
  choices = { "message", "prompt", "write" } }
local NAME = { "name", "name of a queue of prompts" }

local M = {}

M.limit = { "limit", "list at most N messages", type = "integer", min = 1, max = 100000, default = 100,
  value = "N" }
M.status = { "status", "select a state", value = "STATUS",
  choices = { "queued", "waiting", "running", "done", "failed", "dead", "dropped", "all" } }
M.all_dead = { "all-dead", "reset every dead message", type = "boolean" }
M.failed = { "failed", "also retry prompts that were refused", type = "boolean" }
M.drop = {
  { "finished", "delete prompts with a result", type = "boolean" },
  { "dead", "delete dead prompts", type = "boolean" },
  { "all", "delete all prompts and the queue", type = "boolean" },
}
M.watch = { "watch", "deliver messages when they are due, until stopped", type = "boolean" }

M.work = {
  name = "work",
  exits = "workflow",
  summary = "process a queue of prompts",
  description = {
    "Sends the prompts that `route-prompts --enqueue` has put into a queue of the store. Any number of workers can",
    "share a queue; on several machines, use --state postgres://… . Limits on prompts in flight and per second apply",
    "to all workers together. Ctrl-C or SIGTERM ends a worker; a killed worker loses no prompt. See docs/work.md.",
  },
  flags = {
    { "queue-name", "use this queue", value = "NAME", default = "prompts" },
    { "concurrency", "limit prompts in flight in this worker", type = "integer", default = 16,
      min = 1, max = 1000, letter = "c", value = "N" },
    { "drain", "exit when the queue is empty", type = "boolean" },
  },
  examples = { { "moongate queue work --drain" }, { "moongate queue work --state postgres://db/moongate -c 32" } },
}

M.results = {
  name = "results",
  exits = { 1, 3, 9 },
  summary = "print the results of prompts as JSON lines",
  description = {
    "Prints the same lines as route-prompts, in input order. Unfinished prompts are skipped and counted on standard",
    "error; --follow waits for them. With --json, prints one document, {results, …}.",
  },
  args = { NAME },
  flags = { { "follow", "wait until every prompt has a result", type = "boolean", letter = "f" } },
  examples = { { "moongate queue results prompts --follow > results.jsonl" } },
}

M.set = {
  name = "set",
  exits = { 1, 3 },
  summary = "change the limits of a queue of prompts",
  description = { "The new limits apply to all workers, from now on." },
  args = { NAME },
  flags = {
    { "concurrency", "limit prompts in flight", type = "integer", min = 1, max = 100000, value = "N" },
    { "rate", "limit prompts started per second; 0: no limit", type = "number", min = 0, max = 100000, value = "N" },
    { "attempts", "limit attempts per prompt; then it is dead", type = "integer", min = 1, max = 1000, value = "N" },
    { "backoff", "set the wait before attempt 2; it doubles each time", type = "duration", value = "DURATION" },
    { "lease", "set how long a silent worker keeps its prompts", type = "duration", value = "DURATION" },
    { "grace", "set the wait before a dead worker's prompts are resent", type = "duration", value = "DURATION" },
  },
  examples = { { "moongate queue set prompts --concurrency 64 --rate 20" } },
}

M.group = {
  name = "queue",
  summary = "list, send, retry or discard queued work",
  description = {
    "The store queues webhook messages until they are delivered, prompts of `route-prompts --enqueue` until a worker",
    "sends them, and writes of --queue until the gateway is available. A write has a number, a message an id; prompts",
    "are in named queues. States: queued, waiting, running, done, failed, dead, dropped. `moongate work` and",
    "`moongate outbox` are aliases until 1.0.",
  },
  commands = {
    {
      name = "list",
      exits = { 1 },
      summary = "list messages, queues of prompts and writes",
      description = {
        "Lists undelivered and dead messages, newest first; queues of prompts with their limits and workers; queued",
        "writes, oldest first. URLs are shown without their path, which may be a secret.",
      },
      flags = { KIND, M.status, { "all", "also list those that are done or dropped", type = "boolean" }, M.limit },
      examples = { { "moongate queue list" }, { "moongate queue list --kind message --status dead --json" } },
    },
    {
      name = "show",
      exits = { 1, 3 },
      summary = "show a message, a write or a queue of prompts",
      args = { { "id", "id of a message, number of a write, or a queue" } },
      flags = { KIND },
      examples = { { "moongate queue show 12" }, { "moongate queue show prompts" } },
    },
    {
      name = "retry",
      exits = { 1, 3, 5 },
      summary = "reset the retries of messages or prompts",
      description = {
        "For dead messages whose receiver works again, and for waiting messages. A message for a webhook of the",
        "project file goes to the current URL in the file; a webhook that was disabled by a 410 is enabled. With the",
        "name of a queue: all its dead prompts. Nothing is sent by this command.",
      },
      args = { { "id", "id of a message, or a queue of prompts", repeated = true, optional = true } },
      flags = { M.all_dead, M.failed, KIND },
      examples = { { "moongate queue retry --all-dead" }, { "moongate queue retry prompts --failed" } },
    },
    {
      name = "drop",
      exits = { 1, 3, 5 },
      summary = "discard messages, writes or prompts",
      description = { "Records each message and write in the audit log. The results of prompts are deleted, too." },
      args = { { "id", "id of a message, number of a write, or a queue", repeated = true } },
      flags = { M.drop[1], M.drop[2], M.drop[3], KIND },
      examples = { { "moongate queue drop 12" }, { "moongate queue drop prompts --finished" } },
    },
    {
      name = "flush",
      exits = "workflow",
      summary = "send queued writes or messages now",
      description = {
        "Reads each resource again, shows the change and sends it with the current ETag. A resource that another",
        "client has modified is a conflict: its write stays in the queue, and so do the writes that follow it. With",
        "--dry-run nothing is sent. Exit status 0: the queue is empty; 6: the gateway is still unavailable; otherwise",
        "that of the first write that was not sent. With --kind message, sends each message once, due or not; exit",
        "status 0: no message is left; 9: some are kept for later; 1: some are now dead. --watch delivers each",
        "message when it is due, until Ctrl-C or SIGTERM; the exit status is then 0.",
      },
      args = { { "id", "number of a write", repeated = true, optional = true } },
      flags = {
        { "on-conflict", "handle resources that another client modified", choices = { "fail", "rebase",
          "overwrite" } },
        M.watch,
        { "kind", "select writes or messages (default: write)", choices = { "message", "write" } },
      },
      examples = { { "moongate queue flush --dry-run", "show what would change now" }, { "moongate queue flush" },
        { "moongate queue flush --kind message --watch" } },
    },
    M.work, M.set, M.results,
  },
}

return M
