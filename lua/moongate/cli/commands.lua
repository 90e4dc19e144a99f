-- commands.lua - every command, argument, flag, variable and exit status of the program: the one source of the usage
-- texts, of the manual page and of what the parser accepts. Data only; it requires nothing but data: the commands in
-- commands/ and the global flags, so that tests and tools can load it.
--
-- An argument: {name, summary, optional=, repeated=, choices=}.
-- A flag: {name, summary, type=, value=, letter=, env=, default=, choices=, repeated=, required=, min=, max=}; see
-- flags.lua.
-- exits: the exit statuses besides 0 and 2 (default {1}), or "workflow": all that a workflow has.
-- more: {module, field}, a text that the help of the command ends with, kept where it is implemented.
-- The global flags are in moongate/global_flags.lua.

local run = {
  name = "run",
  exits = "workflow",
  summary = "run a workflow or a script",
  description = {
    "Runs a Lua file, or a bundled workflow by its name. A workflow states its arguments and flags; `moongate",
    "help NAME` and `moongate run FILE --help` show them. A plain script gets the arguments as `...` and in",
    "`arg`. `moongate NAME [args]` is short for `moongate run NAME [args]` with a bundled workflow. Global",
    "flags may appear in any position; everything after `--` is passed to the script.",
  },
  args = {
    { "script", "a Lua file, the name of a bundled workflow, or - for standard input" },
    { "args", "arguments of the script", optional = true, repeated = true },
  },
  passthrough = 1, -- arguments after this number are the script's
  examples = {
    { "moongate run my_workflow.lua --env prod", "your own" },
    { "moongate --sim deploy-index index.json", "a bundled one, against the simulated gateway" },
    { "moongate run report.lua -- --json", "pass --json to the script" },
  },
}

local eval = {
  name = "-e",
  exits = "workflow",
  module = "eval",
  summary = "run Lua given on the command line",
  description = {
    "Runs CHUNK like a plain script and prints what it returns.",
  },
  args = {
    { "chunk", "Lua source" },
    { "args", "arguments of the chunk, its `...`", optional = true, repeated = true },
  },
  passthrough = 1,
  literal = function(word) return word ~= "--help" and word ~= "-h" end, -- a chunk may begin with a comment
  examples = {
    { "moongate -e 'return require(\"moongate.uuid\").v7()'" },
    { "moongate --sim --json -e 'return require(\"moongate.auth\").info()'" },
  },
}

-- Limits on what clients can make a server store.
local BODY_FLAGS = {
  { "max-body", "limit a request body", type = "integer", min = 1, max = 2147483647, value = "BYTES",
    default = 64 << 20 },
  { "max-bodies", "limit all request bodies together", type = "integer", min = 1, value = "BYTES",
    default = 128 << 20 },
}

local sim = {
  name = "sim",
  summary = "run the simulated gateway until it is stopped",
  description = {
    "Serves a gateway with an OAuth server, on the loopback interface unless --host is given. Prints its address and",
    "the variables to export for other programs on standard error. Ctrl-C or SIGTERM ends it. GET /__sim/state",
    "and /__sim/stats show its resources and the requests received. The SPEC of --prompts is model=NAME (default: all",
    "models), rates from 0 to 1 of busy= (429), failure= (503), policy= (422) and cut= (no answer), and",
    "latency=SECONDS.",
  },
  flags = {
    { "port", "listen on this port; 0: a free one", type = "integer", default = 0, min = 0, max = 65535,
      value = "PORT" },
    { "host", "listen on this address; 0.0.0.0: all", value = "ADDRESS", default = "127.0.0.1" },
    { "tls", "serve TLS with this certificate chain and key (PEM)", nargs = 2, value = "CERT KEY" },
    { "fault", "inject a fault, see below", repeated = true, value = "SPEC" },
    { "faults", "read faults from a JSON file", value = "FILE" },
    BODY_FLAGS[1], BODY_FLAGS[2],
    { "prompts", "set how a model answers prompts, see above", repeated = true, value = "SPEC" },
    { "token-ttl", "set the lifetime of access tokens", type = "duration", value = "DURATION", default = "24h" },
    { "rate-limit", "limit requests per minute and token; 0: no limit", type = "integer", min = 0, value = "N",
      default = 300 },
  },
  more = { "moongate.sim.faults", "help" },
  examples = {
    { "moongate sim --port 8080" },
    { "moongate sim --fault status=503,rate=0.2 --seed 7", "one response in five is a 503" },
    { "moongate sim --prompts model=sim-small,failure=0.5", "one model fails half of the prompts" },
  },
}

local SECRET_FLAGS = {
  { "secret-env", "read the secret from this variable; several: key rotation", value = "NAME",
    repeated = true },
  { "secret-file", "read the secret from a file (mode 0600) or a pipe", value = "FILE", repeated = true },
}

local webhook = {
  name = "webhook",
  summary = "send, verify or receive signed webhooks",
  commands = {
    {
      name = "send",
      exits = { 1, 3, 6 },
      summary = "send one message and report its outcome",
      description = {
        "Posts {type, timestamp, data} as workflows do: signed when a secret is given, retried for 20 seconds,",
        "delivered on 2xx. Exit status 0: delivered; 6: not delivered in time; otherwise the receiver refused it.",
        "With --dry-run, shows the message and its headers and sends nothing.",
      },
      args = { { "url", "URL of the receiver" } },
      flags = {
        { "event", "set the type of the message", value = "NAME", default = "test" },
        { "data", "set the data of the message: JSON or @FILE", value = "JSON", default = "{}" },
        SECRET_FLAGS[1], SECRET_FLAGS[2],
        { "webhook-profile", "use the headers of Standard Webhooks, MLflow or Svix", value = "PROFILE",
          default = "standard", choices = { "standard", "mlflow", "svix" } },
        { "id", "set the id, to send a message again", value = "ID" },
        { "header", "add a header", value = "'NAME: VALUE'", repeated = true },
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
      summary = "verify a received message",
      description = {
        "Reads the body, byte for byte, from FILE or standard input and verifies it with the headers given, which",
        "also select the profile. Exit status 8, with the reason, when verification fails.",
      },
      args = { { "file", "the body (default or '-': standard input)", optional = true } },
      flags = {
        SECRET_FLAGS[1], SECRET_FLAGS[2],
        { "header", "give a header of the message", value = "'NAME: VALUE'", repeated = true },
        { "tolerance", "limit the distance of its timestamp from now", type = "duration", value = "DURATION",
          default = "5m" },
      },
      examples = {
        { "moongate webhook verify --secret-env HOOK_SECRET --header 'webhook-id: msg_1' --header "
          .. "'webhook-timestamp: 1763627497' --header 'webhook-signature: v1,...' body.json" },
      },
    },
    {
      name = "listen",
      exits = { 1, 3, 6, 8 },
      summary = "receive webhooks and print a line for each",
      description = {
        "Listens on this machine and verifies messages of every profile, until stopped or until --count messages",
        "have come. With a secret, messages that fail verification are answered with 401, and large unsigned bodies",
        "are not read. Exit status 8: a message failed verification. With --json, prints a list at the end.",
      },
      flags = {
        { "port", "listen on this port; 0: a free one", type = "integer", default = 0, min = 0, max = 65535,
          value = "PORT" },
        { "host", "listen on this address", value = "ADDRESS", default = "127.0.0.1" },
        SECRET_FLAGS[1], SECRET_FLAGS[2],
        { "count", "stop after N messages", type = "integer", min = 1, value = "N" },
        { "status", "answer with this HTTP status", type = "integer", min = 200, max = 599, value = "CODE",
          default = 204 },
        { "body", "print the body below each line", type = "boolean" },
        BODY_FLAGS[1], BODY_FLAGS[2],
      },
      examples = {
        { "moongate webhook listen --port 9000 --secret-env HOOK_SECRET" },
        { "moongate webhook listen --port 9000 --status 503 --count 3", "test the retries of a sender" },
      },
    },
  },
}

local doctor = {
  name = "doctor",
  exits = "workflow",
  summary = "check credentials, hosts, TLS, clock, state and audit log",
  description = {
    "Reports each finding as ok, warn or FAIL, with a fix. Gets a token and asks the gateway with it. Secrets are",
    "masked. The exit status is that of the first FAIL.",
  },
  examples = { { "moongate doctor" }, { "moongate --sim doctor --json" } },
}

local help = {
  name = "help",
  summary = "explain a command, workflow, module, function or topic",
  args = { { "command", "a name", optional = true, repeated = true } },
  literal = function(word) return word == "-e" end,
  flags = {
    { "man", "print the manual page (roff)", type = "boolean" },
    { "reference", "write the reference of all modules (Markdown)", value = "DIR" },
  },
  examples = {
    { "moongate help deploy-index" }, { "moongate help http.request" }, { "moongate help --man | man -l -" },
  },
}

local version = {
  name = "version",
  summary = "print the version; with -v, also those of libraries",
  examples = { { "moongate version -v" } },
}

local catalogue = require "moongate.cli.commands.list"

return {
  name = "moongate",
  summary = "scriptable operations for LLM gateways",
  description = {
    "moongate runs workflows, straight-line Lua scripts, against an LLM gateway. It validates every write, shows it",
    "as a diff, sends it once and records it in an audit log that can be verified. `--sim` runs any command against a",
    "private simulated gateway: no account is needed to try it.",
  },
  globals = require "moongate.global_flags",
  -- {title, names}: the groups of `moongate help`, workflows among them.
  groups = {
    { "Resources", { "get", "describe", "delete", "watch", "api" } },
    { "Changes", { "plan", "apply", "approve", "deploy-index", "promote-template", "register-model",
      "configure-model" } },
    { "Prompts", { "route-prompts", "work" } },
    { "Runs and queues", { "runs", "lease", "queue", "outbox" } },
    { "Audit", { "audit", "key" } },
    { "Scripts", { "run", "-e", "repl", "list", "show", "new", "allow", "check", "test", "types" } },
    { "Tools", { "doctor", "sim", "webhook", "completion", "help", "version" } },
  },
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
    require "moongate.cli.commands.audit", require "moongate.cli.commands.key",
    require "moongate.cli.commands.approve", webhook,
    require "moongate.cli.commands.lease",
    require "moongate.cli.commands.outbox",
    require "moongate.cli.commands.runs",
    require "moongate.cli.commands.work",
    require("moongate.cli.commands.queue").group,
    doctor, help, version,
  },
  flags_note = {
    "Every flag but --help and --version can be set in the environment: MOONGATE_ and its name in capitals, with _",
    "for -, as in MOONGATE_DRY_RUN=1 or MOONGATE_DEADLINE=2m. A flag without a value takes 1, true or yes, and 0,",
    "false, no or nothing. The command line overrides the environment, which overrides the project file. After `--`,",
    "flags belong to the script.",
  },
  secrets_note = {
    "Secrets are refused on the command line, where every user of the machine can read them. Set them in the",
    "environment, in the project file (by the names of variables) or in ~/.gc/config.toml.",
  },
  environment = {
    { "MOONGATE_...", "the global flags, see `moongate help flags`" },
    { "MOONGATE_PATH", "folders with workflows, separated by colons, searched after ./workflows" },
    { "MOONGATE_HISTORY", "history file of the REPL (default: `history` in the state folder); empty: none" },
    { "GENESYSCLOUD_REGION",
      "region, domain or base URL of the gateway; also GENESYS_CLOUD_REGION, GENESYS_CLOUD_HOST" },
    { "GENESYSCLOUD_OAUTHCLIENT_ID",
      "id of the OAuth client; also GENESYS_CLOUD_CLIENT_ID, GENESYS_CLIENT_ID, GENESYS_OAUTH_CLIENT_ID" },
    { "GENESYSCLOUD_OAUTHCLIENT_SECRET",
      "its secret; also GENESYS_CLOUD_CLIENT_SECRET, GENESYS_CLIENT_SECRET, GENESYS_OAUTH_CLIENT_SECRET" },
    { "GENESYSCLOUD_ACCESS_TOKEN", "an access token to use instead of an OAuth client" },
    { "GENESYSCLOUD_PROXY_HOST",
      "proxy for every request, with _PROTOCOL, _PORT, _AUTH_USERNAME, _AUTH_PASSWORD" },
    { "HTTPS_PROXY", "proxy otherwise; also https_proxy, http_proxy, ALL_PROXY; see docs/proxies-and-tls.md" },
    { "NO_PROXY", "hosts to reach directly: example.com (and below it), 10.0.0.0/8, *" },
    { "SSL_CERT_FILE", "trusted CAs instead of the system's; also SSL_CERT_DIR; --cacert adds to them" },
    { "MOONGATE_KEY_PASSPHRASE", "the passphrase of --key" },
    { "OTEL_EXPORTER_OTLP_ENDPOINT",
      "OpenTelemetry collector for traces (OTLP/HTTP); also _HEADERS, _TIMEOUT, OTEL_SERVICE_NAME" },
    { "TRACEPARENT", "parent trace of the run" },
    { "NO_COLOR", "disables colours when set" },
    { "XDG_STATE_HOME", "parent of the state folder `moongate` without a project file" },
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
    { 2, "usage error on the command line" },
    { 3, "input rejected" },
    { 4, "not authorised" },
    { 5, "conflict with another writer" },
    { 6, "gateway unavailable or deadline exceeded" },
    { 7, "denied by local permissions" },
    { 8, "verification failed" },
    { 9, "queued for later" },
    { 70, "a bug in moongate" },
    { 130, "interrupted" },
  },
}
