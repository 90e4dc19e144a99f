-- describe: show one resource of the gateway in full, with its address, path and ETag.

local diff = require "moongate.diff"
local errors = require "moongate.error"
local grid = require "moongate.grid"
local resources = require "moongate.resources"
local workflow = require "moongate.workflow"

-- Every member of what the gateway answered, below its name.
local function member_rows(body)
  local rows = {}
  for i, change in ipairs(diff.compare(nil, body)) do
    rows[i] = { diff.path(change.pointer), diff.show(change.to, 400) }
  end
  return rows
end

return workflow.define {
  name = "describe",
  summary = "show one resource in full",
  description = {
    "Shows the address, the ETag and all members of the resource. KIND and ID are as for",
    "`moongate get`.",
  },
  author = "moongate",
  categories = { "read" },
  journal = false,
  args = { { "kind", "kind of resource" }, { "id", "id, as in the path" } },
  flags = resources.FLAGS,
  examples = {
    { "moongate --sim describe model 5a3e1a00-0000-4000-8000-000000000001" },
    { "moongate describe index orders --in vs-1" },
  },
  run = function(run, args)
    local kind = resources.kind(run.gateway, args.kind)
    local place = resources.place(kind, args.id, resources.parent(kind, args))
    local address = resources.address(kind, place)
    local resource = run.gateway:get(kind.name, place, { fresh = true })
    if not resource then
      errors.raise { code = "not_found", message = address .. " was not found",
        hint = kind.list and ("List them: moongate get " .. args.kind) or nil }
    end
    local rows = { { "address", address }, { "kind", kind.title } }
    if resource.etag then rows[#rows + 1] = { "etag", resource.etag } end
    if resource.correlation_id then rows[#rows + 1] = { "correlation", resource.correlation_id } end
    local lines = grid.lines(rows)
    lines[#lines + 1] = ""
    local members = grid.lines(member_rows(resource.body))
    table.move(members, 1, #members, #lines + 1, lines)
    return {
      address = address, kind = kind.name, etag = resource.etag, correlation_id = resource.correlation_id,
      body = resource.body, text = lines,
    }
  end,
}
