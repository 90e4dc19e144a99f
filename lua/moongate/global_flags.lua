-- global_flags.lua - the flags that every command understands, wherever they stand: the one declaration of them. Help,
-- completions and the manual page read it, and at build time src/tools/options.c makes the table of src/cli/options.c
-- from it. Data only; it requires nothing.
--
-- A flag: as in flags.lua, with two types more: "size" ("64M"), and counted = true for one that is counted when it is
-- given again. Each has a variable of the environment of its name, but for those with env = false. Its value is the
-- field of that name in struct moon_options (src/cli/options.h).

local flags = {
  { "sim", "run against a private simulated gateway", type = "boolean" },
  { "sim-fault", "inject a fault into --sim (see `moongate help sim`)", value = "SPEC", repeated = true },
  { "json", "print one JSON document, also on failure", type = "boolean" },
  { "dry-run", "show changes as diffs; send no write", type = "boolean" },
  { "run-id", "name the run, or resume the interrupted run of that id", value = "ID" },
  { "queue", "queue writes while the gateway is unavailable (status 9)",
    type = "boolean" },
  { "wait", "wait for a run or resource that is locked (default 0)",
    type = "duration", value = "DURATION" },
  { "verbose", "log more and print tracebacks; twice: in detail", type = "boolean",
    counted = true, letter = "v" },
  { "quiet", "show no progress; log only errors", type = "boolean", letter = "q" },
  { "log-level", "set the lowest level that is logged", value = "LEVEL", default = "warn",
    choices = { "error", "warn", "info", "debug", "trace" } },
  { "region", "set the gateway: a region, a domain or a base URL", value = "REGION" },
  { "client-id", "set the OAuth client id", value = "ID" },
  { "login-url", "set the OAuth server (default: the region's)", value = "URL" },
  { "profile", "read this section of ~/.gc/config.toml (default DEFAULT)", value = "NAME" },
  { "config", "read this project file (default: the nearest moongate.lua)", value = "FILE" },
  { "state", "store state in a folder, sqlite:FILE or postgres://HOST/DB", value = "STATE" },
  { "audit-log", "write the audit log here (default: in the state folder)", value = "FILE" },
  { "http2", "use HTTP/2: auto, always or never", value = "WHEN" },
  { "cacert", "trust these CAs in addition (PEM)", value = "FILE" },
  { "cert", "present this client certificate to gateway and login host", value = "FILE" },
  { "key", "read the client certificate's key from FILE", value = "FILE" },
  { "key-passphrase-file", "read the passphrase of --key from FILE", value = "FILE" },
  { "lua-dir", "search DIR for Lua modules before the built-in ones", value = "DIR" },
  { "deadline", "limit each gateway call, retries included (default 30s)", type = "duration",
    value = "DURATION" },
  { "retries", "limit retries of a gateway call (default: until --deadline)", type = "integer", value = "N" },
  { "seed", "seed the simulated gateway and all randomness but secrets",
    type = "integer", value = "N" },
  { "metrics", "print the run's metrics at its end",
    type = "boolean" },
  { "metrics-file", "write the run's metrics to FILE as Prometheus text",
    value = "FILE" },
  { "trace-content", "include prompts, answers and bodies in traces", type = "boolean" },
  { "allow-net", "allow connections to HOST, HOST:PORT or *.DOMAIN", value = "HOST", repeated = true },
  { "allow-read", "allow reading PATH",
    value = "PATH", repeated = true },
  { "allow-write", "allow writing PATH", value = "PATH", repeated = true },
  { "allow-env", "allow reading the environment variable NAME", value = "NAME", repeated = true },
  { "allow-http", "allow unencrypted credentials and webhooks to HOST", value = "HOST", repeated = true },
  { "allow-all", "allow scripts everything", type = "boolean" },
  { "trust", "trust DIR as `moongate allow` does, for this run", value = "DIR", repeated = true },
  { "permission-log", "log every use of a permission to FILE, as JSON lines", value = "FILE" },
  { "max-time", "limit the duration of the run (default: no limit)", type = "duration", value = "DURATION" },
  { "max-memory", "limit the memory of scripts (default 512M)", type = "size", value = "SIZE" },
  { "color", "use colours; auto: on a terminal, unless NO_COLOR is set", value = "WHEN",
    default = "auto", choices = { "auto", "always", "never" } },
  { "help", "show help on the program or the command", type = "boolean", letter = "h", env = false },
  { "version", "print the version", type = "boolean", letter = "V", env = false },
}

for _, flag in ipairs(flags) do
  flag.env = flag.env == nil and "MOONGATE_" .. flag[1]:upper():gsub("-", "_") or nil
end

return flags
