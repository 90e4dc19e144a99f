-- get: show resources of the gateway, one or a listing, as a table or as JSON.

local answer = require "moongate.gateway.answer"
local errors = require "moongate.error"
local indented = require "moongate.indented"
local json = require "moongate.json"
local plain = require "moongate.plain"
local resources = require "moongate.resources"
local workflow = require "moongate.workflow"

local function not_found(kind, args)
  return errors.new { code = "not_found", message = resources.address(kind, args) .. " was not found" }
end

-- Each id's resource; all that were not found are in one error.
local function each(run, kind, args)
  local bodies, missing = json.array {}, {}
  for i, id in ipairs(args.id) do
    local place = resources.place(kind, id, resources.parent(kind, args))
    local resource = run.gateway:get(kind.name, place, { fresh = true })
    if resource then bodies[#bodies + 1] = resource.body else missing[#missing + 1] = not_found(kind, place) end
    if i == #args.id and #missing == 1 then error(missing[1], 0) end
  end
  if #missing > 1 then
    for i, err in ipairs(missing) do missing[i] = { message = err.message } end
    errors.raise { code = "not_found", message = ("%d resources were not found"):format(#missing),
      details = missing }
  end
  return bodies
end

local function listing(run, kind, args)
  local bodies, place = json.array {}, resources.listing(kind, resources.parent(kind, args))
  for page in run.gateway:list(kind.name, place, { page_size = 100 }) do
    for _, body in ipairs(answer.items(page)) do bodies[#bodies + 1] = body end
  end
  return bodies
end

local SHOW = {
  table = function(kind, bodies)
    if #bodies == 0 then return { "no resources of kind " .. kind.name } end
    return resources.table(kind, bodies)
  end,
  json = function(_, bodies, one) return { indented.json(one and bodies[1] or bodies) } end,
  jsonl = function(_, bodies)
    local lines = {}
    for i, body in ipairs(bodies) do lines[i] = plain.write(body) end
    return lines
  end,
}

return workflow.define {
  name = "get",
  summary = "show resources: one, several or a listing",
  description = {
    "KIND is index, model, template, configuration or another kind of the dialect or the project file, singular or",
    "plural. ID consists of the ids in the path (STORE/INDEX, TEMPLATE/VERSION); --in gives the first part. Without an",
    "ID, all resources are listed. The cache is not used.",
  },
  author = "moongate",
  categories = { "read" },
  journal = false,
  args = {
    { "kind", "kind of resource" },
    { "id", "id, as in the path", optional = true, repeated = true },
  },
  flags = {
    resources.FLAGS[1], resources.FLAGS[2],
    { "output", "set the format of the output", choices = { "table", "json", "jsonl" }, default = "table" },
  },
  examples = {
    { "moongate --sim get models" },
    { "moongate get index --in vs-1", "all indexes of a vector store" },
    { "moongate get template support-answer/1.2.0 --output json" },
  },
  run = function(run, args)
    local kind = resources.kind(run.gateway, args.kind)
    local one = args.id and #args.id == 1
    local bodies = args.id and #args.id > 0 and each(run, kind, args) or listing(run, kind, args)
    return { kind = kind.name, resources = bodies, text = SHOW[args.output](kind, bodies, one) }
  end,
}
