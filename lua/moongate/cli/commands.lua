-- commands.lua - every command, argument, flag, variable and exit status of the program: the one source of the usage
-- texts, of the manual page and of what the parser accepts. Data only; it requires nothing but the files in commands/,
-- a command each, so that tests and tools can load it.
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
  globals = require "moongate.global_flags",
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
    require("moongate.cli.commands.queue").group,
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
