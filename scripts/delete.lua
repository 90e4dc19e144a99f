-- delete: delete resources of the gateway, after showing what they hold and asking.
--
--   look at each of them; one that is missing, and nothing is deleted
--   show what will be gone, and ask on a terminal (--yes elsewhere)
--   DELETE each, with If-Match where it has an ETag: one that was changed after it was shown is left alone

local batch = require "moongate.batch"
local diff = require "moongate.diff"
local errors = require "moongate.error"
local json = require "moongate.json"
local resources = require "moongate.resources"
local workflow = require "moongate.workflow"

local CHANGED = { deleted = true, reconciled = true }
local ORDER = { "deleted", "reconciled", "planned", "failed" }

local function refuse(kind)
  errors.raise {
    code = "usage", message = "the gateway's contract has no DELETE for the kind " .. kind.name,
    hint = ("If yours has one: moongate api DELETE PATH, or `removable = true` for the kind %s in moongate.lua.")
      :format(kind.name),
  }
end

-- Every resource as it is now. All that are missing are in one error.
local function look(run, kind, args)
  local items, missing = {}, {}
  for i, id in ipairs(args.id) do
    local place = resources.place(kind, id, resources.parent(kind, args))
    local item = { place = place, address = resources.address(kind, place) }
    item.live = kind.readable ~= false and run.gateway:get(kind.name, place, { fresh = true }) or nil
    if not item.live and kind.readable ~= false then missing[#missing + 1] = { message = item.address } end
    items[i] = item
  end
  if #missing > 0 then
    errors.raise {
      code = "not_found", message = ("%d of %d not found; nothing was deleted"):format(#missing, #items),
      details = missing,
    }
  end
  return items
end

local function show(run, items)
  for _, item in ipairs(items) do
    run:note("delete " .. item.address)
    for _, line in ipairs(diff.lines(diff.compare(item.live and item.live.content, nil), "  ")) do run:note(line) end
  end
end

local function holds(kind, items)
  local list = {}
  for i, item in ipairs(items) do list[i] = { kind.name, item.place } end
  return list
end

return workflow.define {
  name = "delete",
  summary = "delete resources after confirmation",
  description = {
    "Reads each resource, shows it and asks; without a terminal, --yes is required. A resource with an ETag is deleted",
    "only if it is unchanged since it was shown. KIND and ID are as for `moongate get`. Kinds without a DELETE in the",
    "gateway's contract are refused.",
  },
  author = "moongate",
  categories = { "destructive" },
  args = { { "kind", "kind of resource" }, { "id", "id, as in the path", repeated = true } },
  flags = {
    resources.FLAGS[1], resources.FLAGS[2],
    { "yes", "delete without asking", type = "boolean" },
    { "concurrency", "resources deleted in parallel", type = "integer", min = 1, max = 256, default = 4, value = "N" },
  },
  examples = {
    { "moongate delete rollback support-answer", "end a rollback" },
    { "moongate delete rollback a b --dry-run", "only show what would be deleted" },
  },
  run = function(run, args)
    local kind = run.gateway:kind(args.kind)
    if not kind.removable then refuse(kind) end
    local items = look(run, kind, args)
    show(run, items)
    local question = ("Delete %d %s%s?"):format(#items, kind.title, #items == 1 and "" or "s")
    if not args.yes and not run:confirm(question) then
      errors.raise { code = "denied", message = "not confirmed; nothing was deleted" }
    end
    run:hold(holds(kind, items))
    local entries = batch.map(run, items, {
      noun = "resources", concurrency = args.concurrency, changed = CHANGED,
      name = function(entry) return entry.address end,
      entry = function(item) return { address = item.address, changes = json.array {} } end,
      work = function(item, entry)
        batch.note(entry, run:step("delete " .. item.address, function()
          return run.gateway:remove(kind.name, item.place, { base = item.live, unconditional = not item.live or nil })
        end))
      end,
    })
    return batch.result(entries, {
      noun = "resources", order = ORDER,
      detail = function() return {} end,
      line = function(entry)
        local add, done = batch.line(entry, entry.address)
        if CHANGED[entry.status] then add("%s ms", entry.latency_ms) end
        add("correlation %s", entry.correlation_id)
        add("audit %d", entry.audit_seq)
        return done()
      end,
    })
  end,
}
