-- audit.lua - the declaration of `moongate audit`, see commands.lua.

local FILE = { "file", "an audit log (default: this project's)", optional = true }
local VKEY = { "vkey", "use this verifier key for checkpoints", repeated = true, value = "VKEY" }

return {
  name = "audit",
  summary = "verify, show, sign, prove or rotate the audit log",
  commands = {
    {
      name = "verify",
      exits = { 1, 3, 8 },
      summary = "check the hash chain and checkpoints of the log",
      description = {
        "Checks the log and its rotated segments and reports the first line that breaks the chain. With --checkpoints,",
        "also checks that all signed lines are present and unchanged; only this detects a log that was truncated, or",
        "rewritten with a valid chain. Exit status 8 when verification fails.",
      },
      args = { FILE },
      flags = {
        { "checkpoints", "compare with a checkpoint or a folder of *.checkpoint files", value = "PATH" },
        VKEY,
      },
      examples = {
        { "moongate audit verify" },
        { "moongate audit verify --checkpoints /mnt/worm/checkpoints --vkey \"$(cat audit.vkey)\"" },
      },
    },
    {
      name = "show",
      exits = { 1, 3 },
      summary = "print events; all filters given must match",
      args = { FILE },
      flags = {
        { "action", "select an action", value = "ACTION", repeated = true },
        { "outcome", "select an outcome", value = "OUTCOME", repeated = true },
        { "run", "select a run", value = "ID" },
        { "since", "select events from a date, a time or a duration ago (2h)", value = "TIME" },
        { "until", "select events up to a date, a time or a duration ago", value = "TIME" },
        { "last", "print only the last N events", type = "integer", min = 1, value = "N" },
      },
      examples = {
        { "moongate audit show --last 20" },
        { "moongate audit show --run 20261120-103908-3k9fq2" },
        { "moongate --sim audit show" },
        { "moongate audit show --action index_update --since 24h --json" },
      },
    },
    {
      name = "checkpoint",
      exits = { 1, 3, 8 },
      summary = "sign the current state of the log",
      description = {
        "Prints a checkpoint: a signed note with the log's name, number of lines and Merkle root. Sends it to",
        "audit.to of the project file and writes it to --out. Exit status 8 when the log lacks lines that were signed",
        "before.",
      },
      flags = { { "out", "also write the checkpoint to FILE", value = "FILE" } },
      examples = { { "moongate audit checkpoint --out latest.checkpoint" } },
    },
    {
      name = "prove",
      exits = { 1, 3, 8 },
      summary = "write a proof that a line is in the log",
      description = {
        "A proof contains the line, its path in the Merkle tree and a checkpoint. Anyone with the verifier key can",
        "check it with `moongate audit verify-proof` or any program for C2SP tlog-proof. --run and --plan write",
        "a proof for each line of the run, or of the plan's writes, into the folder --out.",
      },
      flags = {
        { "seq", "prove the line with this number", type = "integer", min = 1, value = "N" },
        { "run", "prove all lines of this run", value = "ID" },
        { "plan", "prove all lines of this plan's writes", value = "ID" },
        { "checkpoint", "prove against this checkpoint (default: the last)", value = "FILE" },
        { "out", "write to this file, or folder with --run or --plan", value = "PATH", required = true },
      },
      examples = { { "moongate audit prove --seq 12 --out line-12.proof" } },
    },
    {
      name = "verify-proof",
      exits = { 1, 3, 8 },
      summary = "check a proof and print its line",
      args = { { "file", "the proof" } },
      flags = { VKEY },
      examples = { { "moongate audit verify-proof line-12.proof --vkey \"$(cat audit.vkey)\"" } },
    },
    {
      name = "rotate",
      exits = { 1, 3, 5, 8 },
      summary = "close the log as a segment and start a new file",
      description = {
        "The segment is audit-FIRST-LAST.jsonl beside the log. Chain, numbers and Merkle tree continue in the new",
        "file; `audit verify` checks all existing segments. Refused while an intent has no outcome.",
      },
      flags = { { "keep-open-intents", "rotate although an intent has no outcome", type = "boolean" } },
      examples = { { "moongate audit rotate" } },
    },
  },
}
