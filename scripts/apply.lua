-- apply: carry out a saved plan, or plan and carry out in one go.
--
-- With a saved plan nothing but what is in it is written, each change from the base that the plan was made from: what
-- somebody has changed since is a conflict and left alone. Its run is named after the plan, so that the same command
-- again continues an interrupted apply, or shows what a finished one has done.

local approvals = require "moongate.approvals"
local apply = require "moongate.plan.apply"
local errors = require "moongate.error"
local fs = require "moongate.fs"
local json = require "moongate.json"
local plans = require "moongate.plan"
local workflow = require "moongate.workflow"

local FILE_MAX = 64 << 20

-- The file that is a saved plan, when the arguments are one.
local function saved(args)
  local paths = args.path or {}
  if #paths ~= 1 then return nil end
  local info = fs.stat(paths[1])
  if not info or info.type == "directory" then return nil end
  local text = fs.read(paths[1], FILE_MAX)
  local document = text and json.decode(text)
  return type(document) == "table" and type(document.plan) == "table" and document.id ~= nil and paths[1] or nil
end

local function show(run, document)
  for _, line in ipairs(plans.lines(document)) do run:note(line) end
end

-- Who approves the plan, for the audit events of its writes. Raises when approvals are missing.
local function approve(run, document)
  local ids = approvals.check(document, run.project.approvals)
  document.approved_by = #ids > 0 and json.array(ids) or nil
end

-- A plan made now: shown, and asked about.
local function make(run, args)
  local document = plans.make(run, {
    paths = args.path or {}, only = args.only, vector_store = args.vector_store, concurrency = args.concurrency,
  })
  approve(run, document)
  if #document.plan.resource_changes == 0 or run.dry_run then return document end
  show(run, document)
  if not args.yes and not run:confirm(("Write %d changes?"):format(#document.plan.resource_changes)) then
    errors.raise { code = "denied", message = "not confirmed; nothing was written" }
  end
  return document
end

local function read(run, path)
  local document = approvals.read(path)
  apply.check(run, document)
  approve(run, document)
  return document
end

return workflow.define {
  name = "apply",
  summary = "apply a saved plan, or plan and apply",
  description = {
    "apply PLAN writes exactly the changes saved by `moongate plan --out`. A resource that was modified since the plan",
    "was made is a conflict and is not written. Run the same command again to resume an interrupted apply.",
    "apply [PATH...] makes a plan, shows it, asks and writes; without a terminal, --yes is required. Every change ends",
    "as applied, already, reconciled, conflict, failed, unknown or not_tried.",
  },
  author = "moongate",
  categories = { "write" },
  args = { { "path", "a saved plan; or files and folders, default: all", optional = true, repeated = true } },
  flags = {
    { "only", "apply only this address; not for a saved plan", value = "ADDRESS", repeated = true },
    { "on-failure", "after a failure: stop or continue", choices = { "stop", "continue" }, default = "stop" },
    { "yes", "write without asking", type = "boolean" },
    { "vector-store", "vector store of the indexes", value = "ID", env = "GENESYS_CLOUD_VECTOR_STORE_ID" },
    { "concurrency", "changes written in parallel", type = "integer", min = 1, max = 256, default = 4, value = "N" },
  },
  examples = {
    { "moongate apply plan.json" }, { "moongate apply indexes/ --yes" },
    { "moongate apply --on-failure=continue plan.json" },
  },
  permissions = { read = { "." } },
  run_id = function(values)
    local path = saved(values)
    return path and "apply-" .. approvals.read(path).id:match "^sha256:(%x%x%x%x%x%x%x%x%x%x%x%x)" or nil
  end,
  run = function(run, args)
    local document = run:read("plan", function()
      local path = saved(args)
      if path and args.only and #args.only > 0 then
        errors.raise { code = "usage", message = "--only is not for a saved plan: all of it is applied" }
      end
      return path and read(run, path) or make(run, args)
    end)
    if run.dry_run then
      return { id = document.id, plan = document.plan, text = plans.lines(document) }
    end
    if #document.plan.resource_changes == 0 then
      return {
        plan = document.id, results = json.array {}, summary = { total = 0 }, text = { plans.sums(document.plan) },
      }
    end
    return apply.run(run, document, { on_failure = args.on_failure, concurrency = args.concurrency })
  end,
}
