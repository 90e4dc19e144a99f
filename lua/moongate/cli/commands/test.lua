-- test.lua - `moongate test`.
return {
  name = "test",
  summary = "run tests",
  description = {
    "Runs files of tests, each in a process of its own, several at once, and reports what became of them: as a",
    "tree on a terminal, in TAP elsewhere. A folder stands for the test_*.lua and *_test.lua in and below it.",
    "Without PATHs: those files here, and in and below ./tests. Exit status 0: all passed; 1: one failed; 2: there",
    "was nothing to run.",
  },
  args = { { "path", "a file or a folder of tests", optional = true, repeated = true } },
  flags = {
    { "filter", "only tests whose full name, `block > test`, has this text", value = "TEXT" },
    { "shuffle", "in a random order, which --seed repeats", type = "boolean" },
    { "jobs", "files at once (default: as many as the machine has processors)", type = "integer", min = 1, max = 256,
      value = "N" },
    { "update-snapshots", "take what differs as new, and drop what no test asks for", type = "boolean" },
    { "coverage", "count the lines that ran, and show a table by file", type = "boolean" },
    { "coverage-file", "write what --coverage counts to this file, as lcov has it", value = "FILE" },
    { "crash-everywhere", "once a test has passed: again, for every place where its runs can be cut off, with each"
      .. " cut off there and taken up again; what comes of it must be the same", type = "boolean" },
    { "repeat-writes", "once a test has passed: again, with every write sent twice; what the gateway then holds must be"
      .. " the same", type = "boolean" },
    { "junit", "write a report for CI servers to this file, as JUnit's XML", value = "FILE" },
    { "format", "how results are shown; auto: pretty on a terminal, else tap", choices = { "auto", "pretty", "tap" },
      default = "auto" },
    { "clock", "the clock of all files; auto: each file's own", choices = { "auto", "virtual", "real" },
      default = "auto" },
    { "timeout", "the longest that a file may take", type = "duration", value = "DURATION", default = "10m" },
    { "worker", "run the one file in this very process and tell of it in records: what is started for each file",
      type = "boolean" },
    { "folder", "where a worker's tests have their files", value = "DIR" },
  },
  examples = {
    { "moongate test" },
    { "moongate test tests/deploy_test.lua --filter conflict" },
    { "moongate test --shuffle --seed 7 --junit build/tests.xml" },
    { "moongate test --coverage --coverage-file build/lcov.info" },
  },
}
