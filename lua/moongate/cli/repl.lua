-- repl.lua - `moongate repl`: reads lines, runs each in a task, shows what comes of it. From a pipe the lines are a
-- script: no prompt, and the first failure ends it with its exit status.
local errors = require "moongate.error"
local exit_status = require "moongate.exit_status"
local host = require "moongate.host"
local input = require "moongate.repl.input"
local raised = require "moongate.raised"
local report = require "moongate.cli.report"
local session = require "moongate.repl.session"
local show = require "moongate.repl.show"

local M = {}

local Repl = {}
Repl.__index = Repl

function Repl:tell(err, what)
  err = raised.normal(err)
  local lines = report.lines(self.ctx, err)
  if what then lines[1] = lines[1]:gsub("^moongate: ", "moongate: " .. what .. ": ") end
  self.ctx:tell(table.concat(lines, "\n"))
end

function Repl:prompt(more)
  local mode = self.session.run.dry_run and " (dry)" or self.ctx.opts.sim and " (sim)" or ""
  return more and (" "):rep(#mode + 6) .. "...> " or "moongate" .. mode .. "> "
end

-- nil, err: a failure that was returned.
local function failure_in(results)
  return results[1] == nil and errors.is(results[2]) and results[2] or nil
end

-- A value as --json has it.
local function document(value)
  local json = require "moongate.json"
  if value == nil then return json.null end
  return require("moongate.plain").encode(value) and value or show.value(value)
end

function Repl:shown(results)
  if results.n == 0 then return end
  if self.ctx.json then
    self.results[#self.results + 1] = document(results[1])
    return
  end
  local names = function(fn) return self.session:name_of(fn) end
  local failure = failure_in(results)
  if failure then
    host.write("nil\n")
    return self:tell(failure)
  end
  local run = self.session.run
  local known = { [run] = "workflow.run; help(run) lists its methods" }
  local gateway = rawget(run, "gateway")
  if gateway then known[gateway] = "gateway.handle; help(gw) lists its methods" end
  host.write(show.values(results, names, known) .. "\n")
end

-- What became of a line. false: the script ends here.
function Repl:outcome(status, results)
  if status == "incomplete" then
    status, results = "failed", errors.new { code = "parse", message = "the input ends inside of a statement" }
  end
  if status == "ok" then
    self:shown(results)
  elseif status == "cancelled" then
    host.write_err "interrupted\n"
  elseif status == "failed" then
    if not self.interactive then error(results, 0) end
    self:tell(results)
  end
end

-- Lines until they make a whole. nil: the end of the input; false: given up.
function Repl:read()
  local text = self.input:read(self:prompt())
  if not text then return text end
  if text:find "^%s*:" then return text end
  local chunk = require "moongate.repl.chunk"
  while select(2, chunk.compile(text, self.session.env)) == "incomplete" do
    local more = self.input:read(self:prompt(true))
    if more == false then return false end
    if more == nil then return text end
    text = text .. "\n" .. more
  end
  return text
end

function Repl:loop()
  while not self.ended do
    local text = self:read()
    if text == nil then return end
    if text then
      self.input:add(text)
      if text:find "^%s*:" then
        require("moongate.repl.commands").run(self, text)
      else
        self:outcome(self.session:eval(text))
      end
    end
  end
end

local function banner(ctx)
  local where = ctx.opts.sim and "a simulated gateway" or (require("moongate.auth").info().api_url or "no gateway yet")
  host.write_err(("moongate %s, Lua %s, %s. help() explains, :quit or Ctrl-D ends.\n"):format(
    host.version().moongate, host.version().lua:match "^%d+%.%d+" or "", where))
end

function M.run(ctx, args)
  local workflow = require "moongate.workflow"
  local interactive = host.isatty(0)
  local self = setmetatable({
    ctx = ctx, interactive = interactive, input = input.open(interactive), results = {},
  }, Repl)
  local _ <close> = setmetatable({}, { __close = function() self.input:close() end })
  self.session = session.new {
    run = workflow.open(require("moongate.cli.run").session(ctx)), interruptible = interactive,
    report = function(err, what) self:tell(err, what) end,
    topic = function(name) return require("moongate.cli.topics").find(name) end,
  }
  require("moongate.repl.help").install(self.session, function()
    return require("moongate.repl.commands").rows()
  end)
  self.input:serve(self.session)
  for _, file in ipairs(args.init) do
    local status, err = self.session:load(file)
    if status ~= "ok" then error(err, 0) end
  end
  if interactive and not ctx.opts.quiet then banner(ctx) end
  self:loop()
  if ctx.json then ctx:result({ results = require("moongate.json").array(self.results) }, "") end
  return exit_status.DONE
end

return M
