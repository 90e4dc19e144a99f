-- runs.lua - the declaration of `moongate runs`, see commands.lua.

local RUN = { "run", "a run's id, or the beginning of it" }

return {
  name = "runs",
  summary = "what workflows have done, and taking up those that were cut off",
  commands = {
    {
      name = "list",
      exits = { 1 },
      summary = "show the runs, the newest first",
      description = {
        "running, or killed when nobody carries it out any more (--status running is both); interrupted: stopped by a",
        "signal; stopped: what became of a step is not known; failed, done, cancelled. All but the last two can be",
        "taken up again.",
      },
      flags = {
        { "status", "only those that are", value = "STATUS",
          choices = { "running", "interrupted", "stopped", "failed", "done", "cancelled" } },
        { "workflow", "only those of this workflow", value = "NAME" },
        { "limit", "so many at most", type = "integer", min = 1, max = 100000, default = 50, value = "N" },
      },
      examples = { { "moongate runs list" }, { "moongate runs list --status interrupted --json" } },
    },
    {
      name = "show",
      exits = { 1, 3 },
      summary = "show one run and what it has done, step by step",
      args = { RUN },
      examples = { { "moongate runs show 20261120-103908-3k9fq2" } },
    },
    {
      name = "resume",
      exits = "workflow",
      summary = "go on with a run where it stopped",
      description = {
        "Its script runs from the beginning, with the words it was begun with and in the folder it was begun in,",
        "where that is here; what it has done is not done again. Where nobody knows what became of a step that must",
        "not be done twice, the run stops and says what to look at: --redo STEP when it has not taken effect, --skip",
        "STEP when it has. A script that has changed since goes on only while it does just what the old one did.",
      },
      args = { RUN },
      flags = {
        { "redo", "a step of unknown outcome is done again", value = "STEP", repeated = true },
        { "skip", "a step of unknown outcome is taken as done, and returns nothing", value = "STEP", repeated = true },
        { "script", "where the script is now, when it is not where it was", value = "FILE" },
      },
      examples = {
        { "moongate runs resume 20261120-103908-3k9fq2" },
        { "moongate runs resume build-17 --redo 'charge'", "after looking that it was not charged" },
      },
    },
    {
      name = "cancel",
      exits = { 1, 3, 5 },
      summary = "let a run not go on, where it runs or later",
      description = { "A process that carries it out finishes the step it is in and stops before the next one." },
      args = { RUN },
      examples = { { "moongate runs cancel 20261120-103908-3k9fq2" } },
    },
    {
      name = "fork",
      exits = "workflow",
      summary = "begin a new run that has done what an old one did before a step",
      description = {
        "The new run goes on at once. With --dry-run it is only told what it would begin with.",
      },
      args = { RUN },
      flags = {
        { "from", "the first step that is done anew: its name, name#2 for the second of that name, or its number in "
          .. "`runs show`", value = "STEP", required = true },
      },
      examples = { { "moongate runs fork 20261120-103908-3k9fq2 --from notify" } },
    },
    {
      name = "export",
      exits = { 1, 3 },
      summary = "print all that is kept of a run as one JSON document",
      description = { "`runs check` takes such a file in place of a run: keep some with the script's tests." },
      args = { RUN },
      examples = { { "moongate runs export 20261120-103908-3k9fq2 > good_run.json" } },
    },
    {
      name = "check",
      exits = { 1, 3, 8 },
      summary = "find out whether a script still fits the journals of old runs, without a gateway",
      description = {
        "Runs the script against what each run has kept: the results of its steps and the answers to its reads.",
        "Nothing is sent. Where another step comes than was kept, both are shown, and the exit status is 8. Where it",
        "needs what was not kept (an answer above 16 KiB, a request of its own), that part is not looked at further,",
        "and told.",
      },
      args = {
        { "script", "a Lua file, or the name of a bundled workflow" },
        { "run", "a run's id, or a file of `runs export`", repeated = true },
      },
      examples = { { "moongate runs check my_workflow.lua good_run.json 20261120-103908-3k9fq2" } },
    },
    {
      name = "prune",
      exits = { 1, 3 },
      summary = "forget runs that have ended",
      description = {
        "Those that are done or cancelled; others only by --status or --id. Webhook messages that are still to be",
        "delivered are kept.",
      },
      flags = {
        { "older-than", "and were last changed so long ago", type = "duration", default = "30d", value = "DURATION" },
        { "status", "of this status instead", value = "STATUS",
          choices = { "running", "interrupted", "stopped", "failed", "done", "cancelled" } },
        { "id", "this run alone, whatever its age", value = "RUN" },
      },
      examples = { { "moongate runs prune --older-than 90d" }, { "moongate runs prune --status failed" } },
    },
  },
}
