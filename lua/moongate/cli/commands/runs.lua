-- runs.lua - the declaration of `moongate runs`, see commands.lua.

local RUN = { "run", "id of a run, or the start of it" }

return {
  name = "runs",
  summary = "list, resume, cancel or fork runs of workflows",
  commands = {
    {
      name = "list",
      exits = { 1 },
      summary = "list runs, newest first",
      description = {
        "A run is running, or killed when its process has died (--status running selects both); interrupted by a",
        "signal; stopped at a step of unknown outcome; failed, done or cancelled. All but done and cancelled runs can",
        "be resumed.",
      },
      flags = {
        { "status", "select a status", value = "STATUS",
          choices = { "running", "interrupted", "stopped", "failed", "done", "cancelled" } },
        { "workflow", "select a workflow", value = "NAME" },
        { "limit", "list at most N runs", type = "integer", min = 1, max = 100000, default = 50, value = "N" },
      },
      examples = { { "moongate runs list" }, { "moongate runs list --status interrupted --json" } },
    },
    {
      name = "show",
      exits = { 1, 3 },
      summary = "show a run and its steps",
      args = { RUN },
      examples = { { "moongate runs show 20261120-103908-3k9fq2" } },
    },
    {
      name = "resume",
      exits = "workflow",
      summary = "resume a run where it stopped",
      description = {
        "Runs the script again from its start, with the original arguments and folder; recorded steps return their",
        "results and are not done again. At a step of unknown outcome that must not be repeated, the run stops and",
        "says what to check: use --redo STEP if it had no effect, --skip STEP if it had. A script that was changed",
        "continues as long as it performs the recorded steps in the same order.",
      },
      args = { RUN },
      flags = {
        { "redo", "repeat a step of unknown outcome", value = "STEP", repeated = true },
        { "skip", "treat a step of unknown outcome as done, without a result", value = "STEP", repeated = true },
        { "script", "use FILE when the script has moved", value = "FILE" },
      },
      examples = {
        { "moongate runs resume 20261120-103908-3k9fq2" },
        { "moongate runs resume build-17 --redo 'charge'", "after checking that nothing was charged" },
      },
    },
    {
      name = "cancel",
      exits = { 1, 3, 5 },
      summary = "cancel a run",
      description = { "A process that executes the run finishes its current step and stops before the next one." },
      args = { RUN },
      examples = { { "moongate runs cancel 20261120-103908-3k9fq2" } },
    },
    {
      name = "fork",
      exits = "workflow",
      summary = "start a new run from an earlier one, up to a step",
      description = {
        "The new run starts immediately. --dry-run only shows the recorded steps that it would reuse.",
      },
      args = { RUN },
      flags = {
        { "from", "start at this step: NAME, NAME#2 (its second) or number", value = "STEP", required = true },
      },
      examples = { { "moongate runs fork 20261120-103908-3k9fq2 --from notify" } },
    },
    {
      name = "export",
      exits = { 1, 3 },
      summary = "print all records of a run as one JSON document",
      description = { "`runs check` accepts such a file instead of a run: keep some with the tests of the script." },
      args = { RUN },
      examples = { { "moongate runs export 20261120-103908-3k9fq2 > good_run.json" } },
    },
    {
      name = "check",
      exits = { 1, 3, 8 },
      summary = "check a script against the journals of earlier runs",
      description = {
        "Runs the script against the recorded step results and reads of each run, without a gateway. When a step",
        "differs from the record, both are shown and the exit status is 8. Checking ends, with a note, where the",
        "script needs something that is not recorded: a response above 16 KiB, or a request outside the gateway's",
        "methods.",
      },
      args = {
        { "script", "a Lua file, or the name of a bundled workflow" },
        { "run", "id of a run, or a file from `runs export`", repeated = true },
      },
      examples = { { "moongate runs check my_workflow.lua good_run.json 20261120-103908-3k9fq2" } },
    },
    {
      name = "prune",
      exits = { 1, 3 },
      summary = "delete old runs",
      description = {
        "Deletes runs that are done or cancelled; others only with --status or --id. Keeps webhook messages that are",
        "not delivered yet.",
      },
      flags = {
        { "older-than", "delete runs last changed before this age", type = "duration", default = "30d",
          value = "DURATION" },
        { "status", "delete runs of this status instead", value = "STATUS",
          choices = { "running", "interrupted", "stopped", "failed", "done", "cancelled" } },
        { "id", "delete only this run, whatever its age", value = "RUN" },
      },
      examples = { { "moongate runs prune --older-than 90d" }, { "moongate runs prune --status failed" } },
    },
  },
}
