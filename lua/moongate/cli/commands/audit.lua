-- audit.lua - the declaration of `moongate audit`, see commands.lua.

local FILE = { "file", "an audit log (default: this project's)", optional = true }
local VKEY = { "vkey", "verifier key of who signs the checkpoints", repeated = true, value = "VKEY" }

return {
  name = "audit",
  summary = "verify, show, sign, prove or rotate the audit log",
  commands = {
    {
      name = "verify",
      exits = { 1, 3, 8 },
      summary = "check the hash chain and checkpoints of the log",
      description = {
        "Checks the log and the segments that were rotated away, and names the first line that breaks the chain.",
        "With --checkpoints, also that the log has all lines that were signed, as they were signed: a log that was",
        "cut, or forged with a good chain, is found only with them. Exit status 8 when something does not fit.",
      },
      args = { FILE },
      flags = {
        { "checkpoints", "a checkpoint, or a folder of *.checkpoint files", value = "PATH" },
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
      summary = "print the events that pass every filter given",
      args = { FILE },
      flags = {
        { "action", "only this action", value = "ACTION", repeated = true },
        { "outcome", "only this outcome", value = "OUTCOME", repeated = true },
        { "run", "only this run", value = "ID" },
        { "since", "not before: a date, a time, or how long ago (2h)", value = "TIME" },
        { "until", "not after: a date, a time, or how long ago", value = "TIME" },
        { "last", "only the last so many", type = "integer", min = 1, value = "N" },
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
      summary = "sign the log as it is now, and send that",
      description = {
        "Prints a checkpoint: a signed note of the log's name, number of lines and Merkle root. It goes where the",
        "project file's audit.to says, and to --out. Exit status 8 when the log lacks lines that were signed before.",
      },
      flags = { { "out", "write the checkpoint to this file, too", value = "FILE" } },
      examples = { { "moongate audit checkpoint --out latest.checkpoint" } },
    },
    {
      name = "prove",
      exits = { 1, 3, 8 },
      summary = "write the proof that a line is in the log",
      description = {
        "A proof holds the line, its path in the Merkle tree and a checkpoint: whoever has the verifier key can",
        "check it with `moongate audit verify-proof`, or any program for C2SP tlog-proof. With --run, a proof for",
        "each line of the run, in the folder --out.",
      },
      flags = {
        { "seq", "number of the line", type = "integer", min = 1, value = "N" },
        { "run", "all lines of this run", value = "ID" },
        { "checkpoint", "the checkpoint to prove against (default: the last)", value = "FILE" },
        { "out", "the file, or the folder with --run, to write to", value = "PATH", required = true },
      },
      examples = { { "moongate audit prove --seq 12 --out line-12.proof" } },
    },
    {
      name = "verify-proof",
      exits = { 1, 3, 8 },
      summary = "check a proof, and print its line",
      args = { { "file", "the proof" } },
      flags = { VKEY },
      examples = { { "moongate audit verify-proof line-12.proof --vkey \"$(cat audit.vkey)\"" } },
    },
    {
      name = "rotate",
      exits = { 1, 3, 5, 8 },
      summary = "close the log as a segment, and continue in a new file",
      description = {
        "The segment is audit-FIRST-LAST.jsonl beside the log. Chain, numbers and Merkle tree continue in the new",
        "file; `audit verify` checks all segments that are there. Refused while an intent has no outcome.",
      },
      flags = { { "keep-open-intents", "rotate although an intent has no outcome", type = "boolean" } },
      examples = { { "moongate audit rotate" } },
    },
  },
}
