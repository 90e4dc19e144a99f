-- global_flags.lua - the flags that every command understands, wherever they stand: the one declaration of them. Help,
-- completions and the manual page read it, and at build time src/tools/options.c makes the table of src/cli/options.c
-- from it. Data only; it requires nothing.
--
-- A flag: as in flags.lua, with two types more: "size" ("64M"), and counted = true for one that is counted when it is
-- given again. Each has a variable of the environment of its name, but for those with env = false. Its value is the
-- field of that name in struct moon_options (src/cli/options.h).

local flags = {
  { "sim", "run against a private simulated gateway on a free loopback port", type = "boolean" },
  { "sim-fault", "a fault for --sim, as `moongate sim --fault` takes it", value = "SPEC", repeated = true },
  { "json", "print one JSON document on standard output, also when the command fails", type = "boolean" },
  { "dry-run", "read, validate and show every change as a diff; send no write", type = "boolean" },
  { "run-id", "what the run is called; the id of one that was cut off takes it up again", value = "ID" },
  { "queue", "keep a write that the gateway can't take now, for `moongate queue flush`; exit status 9",
    type = "boolean" },
  { "wait", "how long to wait for a run or resource that another process holds (default: not at all)",
    type = "duration", value = "DURATION" },
  { "verbose", "log what happens; twice: in detail. Failures come with a traceback", type = "boolean",
    counted = true, letter = "v" },
  { "quiet", "no progress, and nothing in the log but errors", type = "boolean", letter = "q" },
  { "log-level", "what is logged", value = "LEVEL", default = "warn",
    choices = { "error", "warn", "info", "debug", "trace" } },
  { "region", "where the gateway is: a region, a domain or a base URL", value = "REGION" },
  { "client-id", "the OAuth client's id", value = "ID" },
  { "login-url", "the OAuth server, where it is not the region's", value = "URL" },
  { "profile", "the section of ~/.gc/config.toml (default DEFAULT)", value = "NAME" },
  { "config", "the project file (default: moongate.lua here or in a folder above)", value = "FILE" },
  { "state", "where state lies: a folder, sqlite:FILE or postgres://HOST/DATABASE", value = "STATE" },
  { "audit-log", "the audit log (default: audit.jsonl in the state folder)", value = "FILE" },
  { "http2", "use HTTP/2: auto, always or never", value = "WHEN" },
  { "cacert", "trust these CAs too (PEM)", value = "FILE" },
  { "cert", "client certificate for the gateway and login host", value = "FILE" },
  { "key", "the client certificate's key", value = "FILE" },
  { "key-passphrase-file", "read the passphrase of --key from it", value = "FILE" },
  { "lua-dir", "look for Lua modules here before the built-in ones", value = "DIR" },
  { "deadline", "longest time of a gateway call with its retries (default 30s)", type = "duration",
    value = "DURATION" },
  { "retries", "retries of a gateway call (default: until the deadline)", type = "integer", value = "N" },
  { "seed", "seed of the simulated gateway and of everything random but secrets, for a repeatable run",
    type = "integer", value = "N" },
  { "metrics", "show the run's metrics at its end: a table on standard error, or in the document of --json",
    type = "boolean" },
  { "metrics-file", "write the run's metrics to this file at its end, as Prometheus text; also when it failed",
    value = "FILE" },
  { "trace-content", "let traces hold prompts, answers and bodies", type = "boolean" },
  { "allow-net", "hosts that a script may talk to, besides the gateway's and the webhooks': HOST, HOST:PORT, *.DOMAIN,"
    .. " or several with commas", value = "HOST", repeated = true },
  { "allow-read", "files and folders that a script may read, besides those below the working directory and its own",
    value = "PATH", repeated = true },
  { "allow-write", "files and folders that a script may write", value = "PATH", repeated = true },
  { "allow-env", "variables of the environment that a script may use", value = "NAME", repeated = true },
  { "allow-http", "send credentials and webhooks unencrypted to HOST", value = "HOST", repeated = true },
  { "allow-all", "allow a script everything", type = "boolean" },
  { "trust", "use what lies in these folders as if it were allowed", value = "DIR", repeated = true },
  { "permission-log", "write every access to hosts, files and variables to this file, as JSON lines", value = "FILE" },
  { "max-time", "end the run when it has taken so long (default: no limit)", type = "duration", value = "DURATION" },
  { "max-memory", "memory that scripts may take (default 512M)", type = "size", value = "SIZE" },
  { "color", "colours; auto: on a terminal, unless NO_COLOR is set", value = "WHEN",
    default = "auto", choices = { "auto", "always", "never" } },
  { "help", "explain the program, or the command", type = "boolean", letter = "h", env = false },
  { "version", "print the version", type = "boolean", letter = "V", env = false },
}

for _, flag in ipairs(flags) do
  flag.env = flag.env == nil and "MOONGATE_" .. flag[1]:upper():gsub("-", "_") or nil
end

return flags
