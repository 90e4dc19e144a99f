-- route-prompts: send prompts to models of the gateway, many at once, and say what came of each.
--
--   one prompt (--prompt): its answer, or one JSON document
--   a file or standard input of JSON lines: one JSON line a prompt, in the order of the input or as they come
--
-- A prompt that its model refuses, can not take or does not answer goes to the next model of the chain, each once. One
-- bad line is one bad result. The exit status is that of the first failure in the input.

local errors = require "moongate.error"
local ids = require "moongate.router.ids"
local json = require "moongate.json"
local router = require "moongate.router"
local stream = require "moongate.router.stream"
local workflow = require "moongate.workflow"

local function usage(message)
  errors.raise { code = "usage", message = message, hint = "See `moongate help route-prompts`." }
end

-- "a, b" -> {"a", "b"}
local function list(text)
  local out = {}
  if text == nil then return out end
  for part in (text .. ","):gmatch "%s*(.-)%s*," do out[#out + 1] = part end
  for _, part in ipairs(out) do
    if part == "" then usage(("'%s' has an empty name in it"):format(text)) end
  end
  return out
end

-- "low=0.1,high=1.2" -> {low = 0.1, high = 1.2}
local function matrix(text)
  local out = {}
  for _, part in ipairs(list(text)) do
    local name, value = part:match "^(%a+)=(%S+)$"
    if not name or not tonumber(value) then
      usage(("--temperatures: '%s' is not like low=0.1"):format(part))
    end
    out[name] = tonumber(value)
  end
  return out
end

local SOURCE = { ["X-Audit-Source"] = "genesys-router" }

-- What tells of one prompt, nil where nobody wants that.
local function teller(run)
  local wanted = false
  for _, hook in pairs(run.project.webhooks or {}) do wanted = wanted or hook.per_prompt end
  if not wanted then return nil end
  return function(entry) run:webhook("prompt_routing", entry, { headers = SOURCE, per_prompt = true }) end
end

local function open(run, args)
  run:client {
    concurrency = args.concurrency,
    rate = args.rate and args.rate > 0 and { per_second = args.rate } or nil,
  }
  return router.open {
    each = teller(run),
    gateway = run.gateway, model = args.model, fallback = list(args.fallback), safety = list(args.safety),
    temperature = tonumber(args.temperature) or args.temperature, temperatures = matrix(args.temperatures),
    max_tokens = args.max_tokens, top_p = args.top_p, concurrency = args.concurrency, deadline = run.deadline,
    metrics = run.metrics, limits = run.limits,
  }
end

-- Webhooks for prompt_routing get the summary, those with per_prompt a message for each prompt.
local function tell(run, r, summary)
  local notes = run:webhook("prompt_routing", { summary = summary, models = r.models:data() },
    { headers = SOURCE, per_prompt = false })
  return #notes > 0 and json.array(notes) or nil
end

local function note_table(run, r)
  for _, line in ipairs(r.models:lines()) do run:note(line) end
end

-- ---- one ----

local function route_one(run, r, args)
  if run.dry_run then
    r:prepare()
    if not r.model then usage "--model is required for --prompt" end
    return { status = "planned", model = r.chain[1].id, fallback = r.chain.rest[1],
      temperature = r.parameters.temperature, text = "planned: " .. r.chain[1].label }
  end
  local ok, result = pcall(r.route, r, args.prompt, run.id and ids.of_lines(run.id)(1) or nil)
  if not ok and not (errors.is(result) and result.result) then error(result, 0) end
  local summary = { ok = ok and 1 or 0, failed = ok and 0 or 1, invalid = 0, total = 1 }
  local webhooks = tell(run, r, summary)
  note_table(run, r)
  if not ok then
    result.finished = true -- one prompt: it is sent again as well as resumed
    error(result, 0)
  end
  if result.warning then
    run:report(errors.new {
      code = "protocol", warning = true, message = result.warning, method = "POST",
      path = run.gateway:kind("prompt").path, correlation_id = result.correlation_id,
    })
  end
  result.models, result.webhooks = r.models:data(), webhooks
  result.text = result.output or type(result.raw) == "string" and result.raw
    or json.encode(result.raw, { lenient = true }) or ""
  return result
end

-- ---- many ----

local function summary_of(outcome)
  local c = outcome.counts
  return {
    total = outcome.results, ok = c.ok, failed = c.failed, invalid = c.invalid,
    before = outcome.before > 0 and outcome.before or nil,
    planned = c.planned > 0 and c.planned or nil, stopped = outcome.stopped,
    seconds = (outcome.seconds * 1000 + 0.5) // 1 / 1000,
    per_second = outcome.seconds > 0 and (outcome.results / outcome.seconds * 10 + 0.5) // 1 / 10 or 0,
  }
end

local function summary_line(s)
  local parts = {}
  for _, name in ipairs { "ok", "failed", "invalid", "planned" } do
    if (s[name] or 0) > 0 or name == "ok" then parts[#parts + 1] = ("%d %s"):format(s[name] or 0, name) end
  end
  return ("%d prompts: %s; %.1f s, %.1f/s%s"):format(s.total, table.concat(parts, ", "), s.seconds, s.per_second,
    s.before and (" (and %d before)"):format(s.before) or "")
end

local function route_many(run, r, args)
  local outcome = stream.run(run, r, {
    file = args.file, concurrency = args.concurrency, ordered = args.ordered, max_errors = args.max_errors,
    json = run.json, write = run:stream(),
  })
  local summary = summary_of(outcome)
  local webhooks = not run.dry_run and tell(run, r, summary) or nil
  note_table(run, r)
  run:note(summary_line(summary))
  local first = outcome.first_failure
  return {
    summary = summary, models = r.models:data(), webhooks = webhooks, text = {},
    results = outcome.results == 0 and json.array {} or nil,
    exit_status = first and workflow.exit_status(first.error) or 0,
    finished = not outcome.stopped, -- each line has its result
  }
end

-- ---- for later ----

local function enqueue_many(run, r, args)
  if not args.file then usage "--enqueue puts the prompts of a file, or of - , into a queue" end
  local outcome = require("moongate.router.enqueue").run(run, r, {
    file = args.file, max_errors = args.max_errors, queue = args.queue_name,
    settings = { concurrency = args.concurrency, rate = args.rate },
  })
  local first = outcome.first_failure
  return {
    queue = args.queue_name, added = outcome.added, there_already = outcome.there, invalid = outcome.failures,
    planned = outcome.planned, stopped = outcome.stopped,
    text = outcome.planned and ("%d prompts are fit for the queue %s"):format(outcome.planned, args.queue_name)
      or ("queue %s: %d prompts added%s%s"):format(args.queue_name, outcome.added,
        outcome.there > 0 and (", %d already existed"):format(outcome.there) or "",
        outcome.failures > 0 and (", %d of them invalid"):format(outcome.failures) or ""),
    exit_status = first and workflow.exit_status(first.error) or 0,
  }
end

return workflow.define {
  name = "route-prompts",
  summary = "send prompts to models, with fallbacks",
  description = {
    "Reads one prompt (--prompt) or a file of JSON lines (- is standard input). A line is a string, or an object with",
    "prompt and optional id, model, fallback, temperature, max_tokens, top_p, safety, metadata. Each line gets",
    "exactly one result, a JSON line on standard output; a table by model goes to standard error. With --json",
    "standard output is one document, {results, summary, models}. When a model is busy (429), fails (5xx), times out,",
    "refuses by policy or has too short a context, the prompt goes to the next model of --fallback; each gets a share",
    "of --deadline. Memory does not grow with the file.",
  },
  author = "moongate",
  categories = { "write", "routing" },
  args = { { "file", "prompts as JSON lines, or - for standard input", optional = true } },
  flags = {
    { "prompt", "send this prompt instead of a file", value = "TEXT", letter = "p" },
    { "model", "set the default model, by name or id", value = "MODEL", letter = "m" },
    { "fallback", "set the fallback models, in order", value = "A,B" },
    { "temperature", "set low, default, high or a number from 0 to 2", value = "T", default = "default" },
    { "temperatures", "set low, default and high (0.2, 0.7, 1.0)", value = "low=N,high=N" },
    { "max-tokens", "limit the tokens of a response", type = "integer", min = 1, default = 2048, value = "N" },
    { "top-p", "set nucleus sampling", type = "number", min = 0, max = 1, default = 0.95, value = "P" },
    { "safety", "apply safety filters: " .. table.concat(router.SAFETY, ", "), value = "A,B" },
    { "concurrency", "limit prompts in flight (5; of a queue: 8)",
      type = "integer", min = 1, max = 1000, letter = "c", value = "N" },
    { "rate", "limit prompts started per second", type = "number",
      min = 0, max = 100000, value = "N" },
    { "max-errors", "stop after more than N failures", type = "integer", min = 0, value = "N" },
    { "ordered", "print results in input order; --no-ordered: as they come", type = "boolean", default = true },
    { "unordered", "same as --no-ordered", type = "boolean" },
    { "enqueue", "put prompts into a queue for `moongate queue work`", type = "boolean" },
    { "queue-name", "use this queue", value = "NAME", default = "prompts" },
  },
  examples = {
    { "moongate --sim route-prompts --model sim-small --prompt 'Say hello'" },
    { "moongate route-prompts prompts.jsonl --model gpt --fallback claude,mistral -c 64 > results.jsonl" },
    { "generate | moongate route-prompts - --model gpt --unordered --max-errors 100" },
    { "moongate route-prompts prompts.jsonl --model gpt --enqueue -c 64 --rate 20 && moongate queue work --drain" },
  },
  permissions = { read = { "." } },  -- and the files that the user names, wherever they are
  run = function(run, args)
    if (args.file == nil) == (args.prompt == nil) then
      usage(args.file and "give a file or --prompt, not both" or "give a file of prompts, - or --prompt TEXT")
    end
    if args.unordered then args.ordered = false end
    if args.enqueue then return enqueue_many(run, open(run, args), args) end
    args.concurrency = args.concurrency or 5
    local r = open(run, args)
    return (args.prompt and route_one or route_many)(run, r, args)
  end,
}
