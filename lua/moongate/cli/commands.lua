-- commands.lua - every command, argument, flag, variable and exit status of the program: the one source of the usage
-- texts, of the manual page and of what the parser accepts. Data only; it requires nothing but the files in commands/,
-- a command each, so that tests and tools can load it.
--
-- An argument: {name, summary, optional=, repeated=, choices=}.
-- A flag: {name, summary, type=, value=, letter=, env=, default=, choices=, repeated=, required=, min=, max=}; see
-- flags.lua.
-- exits: the exit statuses besides 0 and 2 (default {1}), or "workflow": all that a workflow has.
-- more: {module, field}, a text that the help of the command ends with, kept where it is implemented.
-- src/cli/options.c reads the global flags; tests/unit/test_options.c compares it with `globals`.

local globals = {
  { "sim", "run against a private simulated gateway on a free loopback port", type = "boolean",
    env = "MOONGATE_SIM" },
  { "sim-fault", "a fault for --sim, as `moongate sim --fault` takes it", value = "SPEC", repeated = true,
    env = "MOONGATE_SIM_FAULT" },
  { "json", "print one JSON document on standard output, also when the command fails", type = "boolean",
    env = "MOONGATE_JSON" },
  { "dry-run", "read, validate and show every change as a diff; send no write", type = "boolean",
    env = "MOONGATE_DRY_RUN" },
  { "run-id", "what the run is called; the id of one that was cut off takes it up again", value = "ID",
    env = "MOONGATE_RUN_ID" },
  { "queue", "keep a write that the gateway can't take now, for `moongate queue flush`; exit status 9",
    type = "boolean", env = "MOONGATE_QUEUE" },
  { "wait", "how long to wait for a run or resource that another process holds (default: not at all)",
    value = "DURATION", env = "MOONGATE_WAIT" },
  { "verbose", "log what happens; twice: in detail. Failures come with a traceback", type = "boolean", letter = "v",
    env = "MOONGATE_VERBOSE" },
  { "quiet", "no progress, and nothing in the log but errors", type = "boolean", letter = "q",
    env = "MOONGATE_QUIET" },
  { "log-level", "what is logged", value = "LEVEL", default = "warn", env = "MOONGATE_LOG_LEVEL",
    choices = { "error", "warn", "info", "debug", "trace" } },
  { "region", "where the gateway is: a region, a domain or a base URL", value = "REGION", env = "MOONGATE_REGION" },
  { "client-id", "the OAuth client's id", value = "ID", env = "MOONGATE_CLIENT_ID" },
  { "login-url", "the OAuth server, where it is not the region's", value = "URL", env = "MOONGATE_LOGIN_URL" },
  { "profile", "the section of ~/.gc/config.toml (default DEFAULT)", value = "NAME", env = "MOONGATE_PROFILE" },
  { "config", "the project file (default: moongate.lua here or in a folder above)",
    value = "FILE", env = "MOONGATE_CONFIG" },
  { "state", "where state lies: a folder, sqlite:FILE or postgres://HOST/DATABASE",
    value = "STATE", env = "MOONGATE_STATE" },
  { "audit-log", "the audit log (default: audit.jsonl in the state folder)",
    value = "FILE", env = "MOONGATE_AUDIT_LOG" },
  { "http2", "use HTTP/2: auto, always or never", value = "WHEN", env = "MOONGATE_HTTP2" },
  { "cacert", "trust these CAs too (PEM)", value = "FILE", env = "MOONGATE_CACERT" },
  { "cert", "client certificate for the gateway and login host", value = "FILE", env = "MOONGATE_CERT" },
  { "key", "the client certificate's key", value = "FILE", env = "MOONGATE_KEY" },
  { "key-passphrase-file", "read the passphrase of --key from it", value = "FILE",
    env = "MOONGATE_KEY_PASSPHRASE_FILE" },
  { "lua-dir", "look for Lua modules here before the built-in ones", value = "DIR", env = "MOONGATE_LUA_DIR" },
  { "deadline", "longest time of a gateway call with its retries (default 30s)",
    value = "DURATION", env = "MOONGATE_DEADLINE" },
  { "retries", "retries of a gateway call (default: until the deadline)", value = "N",
    env = "MOONGATE_RETRIES" },
  { "seed", "seed of the simulated gateway and of everything random but secrets, for a repeatable run", value = "N",
    env = "MOONGATE_SEED" },
  { "metrics", "show the run's metrics at its end: a table on standard error, or in the document of --json",
    type = "boolean", env = "MOONGATE_METRICS" },
  { "metrics-file", "write the run's metrics to this file at its end, as Prometheus text; also when it failed",
    value = "FILE", env = "MOONGATE_METRICS_FILE" },
  { "trace-content", "let traces hold prompts, answers and bodies", type = "boolean",
    env = "MOONGATE_TRACE_CONTENT" },
  { "allow-net", "hosts that a script may talk to, besides the gateway's and the webhooks': HOST, HOST:PORT, *.DOMAIN,"
    .. " or several with commas", value = "HOST", repeated = true, env = "MOONGATE_ALLOW_NET" },
  { "allow-read", "files and folders that a script may read, besides those below the working directory and its own",
    value = "PATH", repeated = true, env = "MOONGATE_ALLOW_READ" },
  { "allow-write", "files and folders that a script may write", value = "PATH", repeated = true,
    env = "MOONGATE_ALLOW_WRITE" },
  { "allow-env", "variables of the environment that a script may use", value = "NAME", repeated = true,
    env = "MOONGATE_ALLOW_ENV" },
  { "allow-http", "send credentials and webhooks unencrypted to HOST", value = "HOST", repeated = true,
    env = "MOONGATE_ALLOW_HTTP" },
  { "allow-all", "allow a script everything", type = "boolean", env = "MOONGATE_ALLOW_ALL" },
  { "trust", "use what lies in these folders as if it were allowed", value = "DIR", repeated = true,
    env = "MOONGATE_TRUST" },
  { "permission-log", "write every access to hosts, files and variables to this file, as JSON lines",
    value = "FILE", env = "MOONGATE_PERMISSION_LOG" },
  { "max-time", "end the run when it has taken so long (default: no limit)", value = "DURATION",
    env = "MOONGATE_MAX_TIME" },
  { "max-memory", "memory that scripts may take (default 512M)", value = "SIZE", env = "MOONGATE_MAX_MEMORY" },
  { "color", "colours; auto: on a terminal, unless NO_COLOR is set", value = "WHEN", env = "MOONGATE_COLOR",
    default = "auto", choices = { "auto", "always", "never" } },
  { "help", "explain the program, or the command", type = "boolean", letter = "h" },
  { "version", "print the version", type = "boolean", letter = "V" },
}

local run = {
  name = "run",
  exits = "workflow",
  summary = "run a workflow or a script",
  description = {
    "Runs a Lua file, or a bundled workflow by its name. A workflow states its arguments and flags; `moongate",
    "help NAME` and `moongate run FILE --help` show them. A plain script gets the arguments as `...` and in",
    "`arg`. `moongate NAME [args]` is the same as `moongate run NAME [args]` for the bundled ones. Global",
    "flags may stand anywhere; what comes after `--` is the script's alone.",
  },
  args = {
    { "script", "a Lua file, the name of a bundled workflow, or - for standard input" },
    { "args", "what the script takes", optional = true, repeated = true },
  },
  passthrough = 1, -- after so many arguments, the rest is the script's
  examples = {
    { "moongate run my_workflow.lua --env prod", "your own" },
    { "moongate --sim deploy-index index.json", "a bundled one, against the simulated gateway" },
    { "moongate run report.lua -- --json", "a flag for the script that moongate would have taken" },
  },
}

local eval = {
  name = "-e",
  exits = "workflow",
  module = "eval",
  summary = "run a chunk of Lua given on the command line",
  description = {
    "Runs CHUNK as a plain script would be run. What it returns is the result and is printed.",
  },
  args = {
    { "chunk", "Lua source" },
    { "args", "what the chunk gets as `...`", optional = true, repeated = true },
  },
  passthrough = 1,
  literal = function(word) return word ~= "--help" and word ~= "-h" end, -- a chunk may begin with a comment
  examples = {
    { "moongate -e 'return require(\"moongate.uuid\").v7()'" },
    { "moongate --sim --json -e 'return require(\"moongate.auth\").info()'" },
  },
}

-- What strangers may cost a server.
local BODY_FLAGS = {
  { "max-body", "largest request body accepted", type = "integer", min = 1, max = 2147483647, value = "BYTES",
    default = 64 << 20 },
  { "max-bodies", "limit of all request bodies together", type = "integer", min = 1, value = "BYTES",
    default = 128 << 20 },
}

local sim = {
  name = "sim",
  summary = "run the simulated gateway until it is stopped",
  description = {
    "Serves a gateway with an OAuth server, on the loopback interface unless --host says otherwise. Its address and",
    "the lines to export so that other programs use it go to standard error. Ctrl-C or SIGTERM ends it.",
    "GET /__sim/state and /__sim/stats show what it holds and what it was asked.",
  },
  flags = {
    { "port", "the port to listen on; 0 takes a free one", type = "integer", default = 0, min = 0, max = 65535,
      value = "PORT" },
    { "host", "the address to listen on; 0.0.0.0: all, as in a container", value = "ADDRESS", default = "127.0.0.1" },
    { "tls", "serve TLS with this certificate chain and key (PEM)", nargs = 2, value = "CERT KEY" },
    { "fault", "misbehave, see below", repeated = true, value = "SPEC" },
    { "faults", "read faults from a JSON file: a rule, a list of rules, or {\"rules\": [...]}", value = "FILE" },
    BODY_FLAGS[1], BODY_FLAGS[2],
    { "prompts", "how a model behaves when prompts are routed to it: model=NAME (default all), then rates from 0 to 1"
      .. " of busy= (429), failure= (503), policy= (422), cut= (no answer), and latency=SECONDS", repeated = true,
      value = "SPEC" },
    { "token-ttl", "life of an access token", type = "duration", value = "DURATION", default = "24h" },
    { "rate-limit", "requests a minute a token may make; 0: no limit", type = "integer", min = 0, value = "N",
      default = 300 },
  },
  more = { "moongate.sim.faults", "help" },
  examples = {
    { "moongate sim --port 8080" },
    { "moongate sim --fault status=503,rate=0.2 --seed 7", "one answer in five is 503" },
    { "moongate sim --prompts model=sim-small,failure=0.5", "one model that fails every other time" },
  },
}

local SECRET_FLAGS = {
  { "secret-env", "the variable that holds the secret; several while a key is changed", value = "NAME",
    repeated = true },
  { "secret-file", "a file of mode 0600, or a pipe such as /dev/fd/3, that holds it", value = "FILE", repeated = true },
}

local webhook = {
  name = "webhook",
  summary = "send, verify or receive signed webhooks",
  commands = {
    {
      name = "send",
      exits = { 1, 3, 6 },
      summary = "send one message, and say what became of it",
      description = {
        "Posts {type, timestamp, data} as the workflows do: signed when a secret is given, tried again for 20",
        "seconds, delivered on 2xx. Exit status 0: delivered; 6: not within that time; else the receiver refused",
        "it. With --dry-run the message and its headers are shown, and nothing is sent.",
      },
      args = { { "url", "where to" } },
      flags = {
        { "event", "the message's type", value = "NAME", default = "test" },
        { "data", "the message's data: JSON, or @FILE with it", value = "JSON", default = "{}" },
        SECRET_FLAGS[1], SECRET_FLAGS[2],
        { "webhook-profile", "whose headers: Standard Webhooks', MLflow's or Svix's", value = "PROFILE",
          default = "standard", choices = { "standard", "mlflow", "svix" } },
        { "id", "the message's id: of one that is sent again", value = "ID" },
        { "header", "one more header", value = "'NAME: VALUE'", repeated = true },
      },
      examples = {
        { "moongate webhook send https://hooks.example.com/llm --secret-env HOOK_SECRET" },
        { "moongate webhook send http://127.0.0.1:9000 --event llm_config_change --data @change.json" },
        { "moongate webhook send http://127.0.0.1:9000 --webhook-profile mlflow --secret-file hook.key --dry-run" },
      },
    },
    {
      name = "verify",
      exits = { 1, 3, 8 },
      summary = "verify a message that was received",
      description = {
        "Reads the body, byte for byte, from FILE or standard input, and verifies it with the headers given. Both",
        "profiles; the headers say which. Exit status 8, with the reason, when it does not verify.",
      },
      args = { { "file", "the body (default or '-': standard input)", optional = true } },
      flags = {
        SECRET_FLAGS[1], SECRET_FLAGS[2],
        { "header", "a header of the message", value = "'NAME: VALUE'", repeated = true },
        { "tolerance", "how old, or how far ahead, it may be", type = "duration", value = "DURATION", default = "5m" },
      },
      examples = {
        { "moongate webhook verify --secret-env HOOK_SECRET --header 'webhook-id: msg_1' --header "
          .. "'webhook-timestamp: 1763627497' --header 'webhook-signature: v1,...' body.json" },
      },
    },
    {
      name = "listen",
      exits = { 1, 3, 6, 8 },
      summary = "receive webhooks and print a line for each, until stopped",
      description = {
        "Listens on this machine and verifies what comes, of both profiles. With a secret, what does not verify",
        "is answered 401; a large body without a signature is not read. --count ends it after so many; its exit",
        "status is 8 when one of them did not verify. With --json the list of all is printed at the end.",
      },
      flags = {
        { "port", "the port to listen on; 0 takes a free one", type = "integer", default = 0, min = 0, max = 65535,
          value = "PORT" },
        { "host", "the address to listen on", value = "ADDRESS", default = "127.0.0.1" },
        SECRET_FLAGS[1], SECRET_FLAGS[2],
        { "count", "end after so many", type = "integer", min = 1, value = "N" },
        { "status", "what to answer", type = "integer", min = 200, max = 599, value = "CODE", default = 204 },
        { "body", "print the body below each line", type = "boolean" },
        BODY_FLAGS[1], BODY_FLAGS[2],
      },
      examples = {
        { "moongate webhook listen --port 9000 --secret-env HOOK_SECRET" },
        { "moongate webhook listen --port 9000 --status 503 --count 3", "see how a sender takes it" },
      },
    },
  },
}

local doctor = {
  name = "doctor",
  exits = "workflow",
  summary = "check the set-up: credentials, hosts, TLS, clock, state, audit log, a token",
  description = {
    "Each finding is ok, warn or FAIL, with what to do about it. Secrets are masked. The exit status is that",
    "of the first FAIL.",
  },
  examples = { { "moongate doctor" }, { "moongate --sim doctor --json" } },
}

local help = {
  name = "help",
  summary = "explain the program, a command, a workflow, a module or a function",
  args = { { "command", "what to explain", optional = true, repeated = true } },
  literal = function(word) return word == "-e" end,
  flags = {
    { "man", "print the manual page (roff)", type = "boolean" },
    { "reference", "write the reference of all modules into a folder (Markdown)", value = "DIR" },
  },
  examples = {
    { "moongate help deploy-index" }, { "moongate help http.request" }, { "moongate help --man | man -l -" },
  },
}

local version = {
  name = "version",
  summary = "print the version, and with -v those of the libraries",
  examples = { { "moongate version -v" } },
}

local catalogue = require "moongate.cli.commands.list"

return {
  name = "moongate",
  summary = "scriptable operations for LLM gateways",
  description = {
    "moongate runs workflows, straight-line Lua scripts, against an LLM gateway: it validates what they want",
    "to write, shows it as a diff, sends it once, and proves afterwards what was done. `--sim` gives any",
    "command a private simulated gateway, so that nothing but this program is needed to try one.",
  },
  globals = globals,
  commands = {
    run, eval,
    require "moongate.cli.commands.repl",
    catalogue[1], catalogue[2],
    require "moongate.cli.commands.types",
    require "moongate.cli.commands.completion",
    sim,
    require "moongate.cli.commands.test",
    require "moongate.cli.commands.check",
    require "moongate.cli.commands.new",
    require "moongate.cli.commands.allow",
    require "moongate.cli.commands.fmt",
    require "moongate.cli.commands.audit", require "moongate.cli.commands.key",
    require "moongate.cli.commands.approve", webhook,
    require "moongate.cli.commands.lease",
    require "moongate.cli.commands.outbox",
    require "moongate.cli.commands.runs",
    require "moongate.cli.commands.work",
    require "moongate.cli.commands.queue",
    doctor, help, version,
  },
  secrets_note = {
    "Secrets are never taken from the command line, where every user of the machine can read them. They come",
    "from the environment, from the project file (which names variables) or from ~/.gc/config.toml.",
  },
  environment = {
    { "MOONGATE_...", "the global flags, see there; of one without a value: 1, true or yes; 0, false, no or empty" },
    { "MOONGATE_PATH", "folders that workflows are looked for in, separated by colons, after ./workflows" },
    { "MOONGATE_HISTORY", "the prompt's history file, instead of `history` in the state folder; empty: none" },
    { "GENESYSCLOUD_REGION",
      "the gateway's region, domain or base URL; also GENESYS_CLOUD_REGION, GENESYS_CLOUD_HOST" },
    { "GENESYSCLOUD_OAUTHCLIENT_ID",
      "the OAuth client's id; also GENESYS_CLOUD_CLIENT_ID, GENESYS_CLIENT_ID, GENESYS_OAUTH_CLIENT_ID" },
    { "GENESYSCLOUD_OAUTHCLIENT_SECRET",
      "its secret; also GENESYS_CLOUD_CLIENT_SECRET, GENESYS_CLIENT_SECRET, GENESYS_OAUTH_CLIENT_SECRET" },
    { "GENESYSCLOUD_ACCESS_TOKEN", "a token to use as it is instead of a client" },
    { "GENESYSCLOUD_PROXY_HOST",
      "with _PROTOCOL, _PORT, _AUTH_USERNAME, _AUTH_PASSWORD: the proxy for every request" },
    { "HTTPS_PROXY", "else the proxy: https_proxy, http_proxy, ALL_PROXY too; see docs/proxies-and-tls.md" },
    { "NO_PROXY", "hosts to reach directly: example.com (and below it), 10.0.0.0/8, *" },
    { "SSL_CERT_FILE", "trusted CAs, in place of the system's; also SSL_CERT_DIR; --cacert adds to them" },
    { "MOONGATE_KEY_PASSPHRASE", "the passphrase of --key" },
    { "OTEL_EXPORTER_OTLP_ENDPOINT",
      "where traces go: an OpenTelemetry collector (OTLP/HTTP); also its _HEADERS, _TIMEOUT, OTEL_SERVICE_NAME" },
    { "TRACEPARENT", "the trace that a run is part of" },
    { "NO_COLOR", "no colours when set" },
    { "XDG_STATE_HOME", "the state folder is `moongate` in it when there is no project file" },
  },
  files = {
    { "workflows/", "workflows that are commands here: workflows/my_job.lua is `moongate my-job`" },
    { "moongate.lua", "the project file: gateway, state, webhooks, limits, permissions" },
    { ".moongate/",
      "the state folder beside it; without a project file $XDG_STATE_HOME/moongate or ~/.local/state/moongate" },
    { ".moongate/audit.jsonl", "the audit log" },
    { "~/.gc/config.toml", "the gc CLI's profiles; read only" },
  },
  exit_statuses = {
    { 0, "done" },
    { 1, "failed" },
    { 2, "usage: the command line is wrong" },
    { 3, "input rejected" },
    { 4, "not authorised" },
    { 5, "conflict: somebody else wrote" },
    { 6, "gateway unavailable, or a deadline passed" },
    { 7, "denied by local permissions" },
    { 8, "verification failed" },
    { 9, "queued for later" },
    { 70, "a bug in moongate" },
    { 130, "interrupted" },
  },
}
