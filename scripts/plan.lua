-- plan: compare the files of the project with the gateway, and show or save what has to be written. Sends only reads.

local approvals = require "moongate.approvals"
local plans = require "moongate.plan"
local workflow = require "moongate.workflow"

local CHANGES = workflow.exit_status { code = "verify" }

return workflow.define {
  name = "plan",
  summary = "compare files with the gateway and save a plan",
  description = {
    "Compares the resources declared in the project's files with the gateway and shows every change as a diff. Files",
    "are read from indexes/, templates/, models/ and configurations/ beside moongate.lua, or from its field",
    "`resources`. --out saves the plan for `moongate apply`, which writes exactly these changes to unmodified",
    "resources.",
  },
  author = "moongate",
  categories = { "read" },
  journal = false,
  args = { { "path", "files or folders to plan; default: all", optional = true, repeated = true } },
  flags = {
    { "out", "save the plan in this file or folder", value = "FILE" },
    { "only", "plan only this address; a trailing * is allowed", value = "ADDRESS", repeated = true },
    { "check", "exit with status 8 when there are changes", type = "boolean" },
    { "show", "print a saved plan again", value = "PLAN" },
    { "vector-store", "vector store of the indexes", value = "ID", env = "GENESYS_CLOUD_VECTOR_STORE_ID" },
    { "concurrency", "resources read in parallel", type = "integer", min = 1, max = 256, default = 16, value = "N" },
  },
  examples = {
    { "moongate plan", "show what would be written" },
    { "moongate plan --out plan.json && moongate apply plan.json" },
    { "moongate plan indexes/ --only 'index/vs-1/*' --check", "in a cron job" },
  },
  permissions = { read = { "." }, write = { "." } },
  offline = function(values) return values.show ~= nil end,
  run = function(run, args)
    local document = args.show and approvals.read(args.show)
      or plans.make(run, {
        paths = args.path or {}, only = args.only, vector_store = args.vector_store, concurrency = args.concurrency,
      })
    local lines = plans.lines(document)
    local changes = #document.plan.resource_changes > 0
    local file = args.out and changes and plans.save(document, args.out) or nil
    if file then
      lines[#lines + 1] = ("plan %s in %s; to apply it: moongate apply %s"):format(document.id:sub(1, 19), file, file)
    end
    return {
      id = document.id, plan = document.plan, approvals = document.approvals, file = file, text = lines,
      exit_status = args.check and changes and CHANGES or nil,
    }
  end,
}
