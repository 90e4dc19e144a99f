-- sim.lua - test.sim{…}: a simulated gateway of a test's own, and workflows run against it in this process, with all
-- that they say and do at hand. It ends with the task that asked for it, at the latest with the test.
local bundled = require "moongate.bundled"
local errors = require "moongate.error"
local exit_status = require "moongate.exit_status"
local flags = require "moongate.flags"
local global_flags = require "moongate.global_flags"
local host = require "moongate.host"
local merged = require "moongate.merged"
local raised = require "moongate.raised"
local runs = require "moongate.runs"
local sandbox = require "moongate.sandbox"
local sealed = require "moongate.sealed"
local sim = require "moongate.sim"
local store = require "moongate.store"
local suite = require "moongate.test.suite"
local target = require "moongate.outbox.target"
local task = require "moongate.task"
local variants = require "moongate.test.variants"
local workflow = require "moongate.workflow"

local M = {}

local OWN = { project = true } -- options of test.sim that sim.start does not know

local Session = {}
local SessionMeta = { __index = Session }

-- What the gateway holds, what it was asked, its faults: as of the server (moongate.sim).
for _, name in ipairs { "state", "stats", "reset", "fault", "faults", "clear_faults", "expire_tokens", "settle" } do
  Session[name] = function(self, ...) return self.server[name](self.server, ...) end
end

function Session:stop()
  local db = self.store
  self.store = nil
  self.server:stop()
  if db then db.real:close() end
end

-- session:requests([method [, path pattern]]) -> list of {method, path, status, body, …} of the API, oldest first;
-- tokens and the control paths are not among them. At most the last 1000.
function Session:requests(method, pattern)
  local out = {}
  for _, request in ipairs(self:stats().last) do
    local api = not request.path:find "^/oauth/" and not request.path:find "^/__sim/"
    if api and (not method or request.method == method) and (not pattern or request.path:find(pattern)) then
      out[#out + 1] = request
    end
  end
  return out
end

-- An audit log in a list, of the form that moongate.audit has.
local function audit_log(lines)
  local log = {}
  local function append(phase, fields, intent)
    local line = merged({ phase = phase, seq = #lines + 1, intent = intent }, fields)
    lines[#lines + 1] = line
    return line
  end
  function log.intent(fields)
    local intent = append("intent", fields)
    local entry = { seq = intent.seq }
    function entry.outcome(_, more)
      local line = append("outcome", more, intent.seq)
      line.action = line.action or intent.action
      return true
    end
    return entry
  end
  function log.event(fields) return append("event", fields).seq end
  return log
end

-- What a run says and does, while it is under way.
local function new_outcome()
  return { data = nil, lines = {}, text = "", streamed = "", notes = {}, reports = {}, audit = {}, exit_status = 0 }
end

local function hooks_of(session, out, opts)
  return {
    dry_run = opts.dry_run, json = opts.json, simulated = true, project = session.project, audit = audit_log(out.audit),
    store = session.store,
    gateway = function(options, run)
      return require("moongate.workflow.session").gateway(run, options, { leases = false })
    end,
    note = function(line) out.notes[#out.notes + 1] = line end,
    report = function(err) out.reports[#out.reports + 1] = err end,
    stream = function(text)
      out.streamed = out.streamed .. text
      return true
    end,
  }
end

-- "--dry-run" and "--json" among the words are the program's own.
local function own_flags(words, opts)
  local rest, open = {}, true
  for _, word in ipairs(words) do
    word = tostring(word)
    if word == "--" then open = false end
    local name = open and (word == "--dry-run" and "dry_run" or word == "--json" and "json")
    if name then opts[name] = true else rest[#rest + 1] = word end
  end
  return rest
end

local function parse(definition, words)
  flags.check(definition, global_flags)
  local function getenv(name) return host.allows("env", name) and host.getenv(name) or nil end
  local values, faults = flags.parse(definition, words, { getenv = getenv, globals = global_flags })
  if values then return values end
  errors.raise {
    code = "usage", message = table.concat(faults, "; "), details = faults[2] and faults or nil,
  }
end

-- A plain script: what it prints is its text, what it returns its data.
local function run_plain(chunk, words, out)
  local kept = sandbox.print
  sandbox.print = function(text)
    out.lines[#out.lines + 1] = text:gsub("\n$", "")
    return true
  end
  local ok, result = pcall(chunk, table.unpack(words))
  sandbox.print = kept
  if not ok then error(result, 0) end
  if workflow.is(result) then return result end
  out.data = result
end

-- The definition of what is to be run, or nil when it was a plain script and has run.
local function definition_of(what, words, out)
  if workflow.is(what) then return what end
  if bundled.exists(what) then return bundled.load(what) end
  local arg = table.move(words, 1, #words, 1, { [0] = what })
  local chunk, err = sandbox.load_script(what, { arg = arg })
  if not chunk then error(err, 0) end
  return run_plain(chunk, words, out)
end

-- The store of a session's runs, in memory, from its first run on.
local function store_of(session)
  if not session.store then session.store = variants.store(assert(store.open "sqlite::memory:"), session) end
  return session.store
end

-- One life of a run, its journal open: -> what workflow.execute gives. Raises what that raises.
local function live(j, definition, values, hooks)
  hooks.journal = j
  local job = task.spawn(function()
    return j:within(function() return workflow.execute(definition, values, hooks) end)
  end)
  local result, err = job:join()
  if j.broken then error(j.broken, 0) end
  if job:status() ~= "done" then error(err, 0) end
  return result
end

-- -> whether it did its job, what it gave or raised
local function finished_life(j, definition, values, hooks)
  local ok, result = pcall(live, j, definition, values, hooks)
  local done = ok and result.exit_status == exit_status.DONE
  if not j.broken then
    runs.finish(j, done and "done" or "failed", {
      exit_status = ok and result.exit_status or nil, result = ok and result or nil,
    })
  end
  return ok, result
end

-- Carries a workflow out as the command does: with a journal, unless it is a dry run. One that is cut off is taken up
-- again. -> what workflow.execute gives, lines for what the second life did not come to
local function carry_out(session, definition, values, words, hooks)
  if hooks.dry_run then return workflow.execute(definition, values, hooks) end
  local db, id = session.store, runs.new_id()
  local record = {
    id = id, workflow = definition.name, script = definition.name, words = words, options = {}, gateway = "sim",
  }
  local j = assert(variants.beginning(runs.begin, db, record))
  local ok, result = finished_life(j, definition, values, hooks)
  if variants.was_cut() then
    -- This process lives, and with it what the one that is played to be gone had leased.
    assert(db:exec "UPDATE queue_items SET lease_until = 0 WHERE state = 'running'")
    j = variants.beginning(runs.take_up, db, runs.get(db, id))
    ok, result = finished_life(j, definition, values, hooks)
  end
  if not ok then error(result, 0) end
  return result, j.resumed and j:left_over() or nil
end

local function execute(session, what, words, opts, out)
  local definition = definition_of(what, words, out)
  if not definition then return end
  store_of(session)
  local values = parse(definition, words)
  local result, left = carry_out(session, definition, values, words, hooks_of(session, out, opts))
  out.data, out.lines, out.exit_status = result.data, result.lines, result.exit_status
  return left
end

-- session:run(what, word…) -> outcome. what: a bundled workflow's name, a script's path, or what workflow.define gave;
-- the words are those of the command line. A failure is in the outcome, not raised:
--   exit_status            the program's
--   data                   the document that --json would print
--   text, lines            what would be printed without it
--   streamed               what was written while it ran (run:stream)
--   notes, reports         what went to standard error: lines; failures that did not end the run
--   audit                  the audit log's lines
--   error                  the failure that ended it, or nil
function Session:run(what, ...)
  if type(what) ~= "string" and not workflow.is(what) then
    error("session:run: expected a workflow's name, a script's path or a definition", 2)
  end
  assert(host.use_gateway(self.url, self.client_id, self.client_secret))
  local out, opts = new_outcome(), {}
  local words = own_flags({ ... }, opts)
  local ok, left = pcall(execute, self, what, words, opts, out)
  if not ok then
    local err = raised.normal(left)
    out.error, out.exit_status = errors.is(err) and err or errors.new(err), exit_status.of(err)
  end
  out.text = table.concat(out.lines, "\n")
  if self.variant ~= variants.mine() then return out end
  return variants.ended(self, out, ok and left or nil)
end

local seal = sealed.class("moongate.test.sim", Session, {
  url = true, client_id = true, client_secret = true, webhook_secret = true,
  server = function(self) return self.server end,
  project = function(self) return self.project end,
}, Session.stop)

-- A copy of a project's table without secrets that are not set here: tests need none.
local function without_unset(value)
  if type(value) ~= "table" then return value end
  if type(value.unset) == "string" then return nil end
  local out = {}
  for k, v in pairs(value) do out[k] = without_unset(v) end
  return out
end

local function receiver_secrets(project)
  local secret, secrets = require "moongate.secret", {}
  for name, hook in pairs(project.webhooks or {}) do
    if secret.is(hook.secret) or type(hook.secret) == "string" then secrets[name] = hook.secret end
  end
  return secrets
end

-- M.start(opts) -> session. opts: those of sim.start, with no rate limit unless one is asked for; project: a project
-- file's table instead of the one there is.
function M.start(opts)
  local all = { rate_limit = 0 }
  for k, v in pairs(opts or {}) do
    if not OWN[k] then all[k] = v end
  end
  for _, hook in pairs(host.project().data.webhooks or {}) do target.is_real(hook.url) end
  local project = opts and opts.project or without_unset(host.project().data) or {}
  if variants.repeats() then all.repeat_writes = true end
  all.receiver_secrets = all.receiver_secrets or receiver_secrets(project)
  local started, server, err = pcall(sim.start, all)
  if not started then error(server, 3) end -- a mistake of the test's
  if not server then error(err, 0) end
  assert(host.use_gateway(server.url, server.client_id, server.client_secret))
  local session = setmetatable({
    server = server, project = project, variant = variants.mine(), url = server.url, client_id = server.client_id,
    client_secret = server.client_secret, webhook_secret = server.webhook_secret,
  }, SessionMeta)
  suite.at_end(function() session:stop() end)
  return seal(session)
end

return M
