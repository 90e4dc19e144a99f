-- approve.lua - `moongate approve`.
local approvals = require "moongate.approvals"
local confirm = require "moongate.cli.confirm"
local errors = require "moongate.error"
local host = require "moongate.host"
local note = require "moongate.note"
local time = require "moongate.time"

local M = {}

-- The name of a key is not in its file: it is that of the project's verifier key that it has.
local function key_of(args)
  local secret, err = host.secret_file(args.key_file)
  if not secret then error(err, 0) end
  local vkeys = (require("moongate.cli.settings").project().approvals or {}).keys or {}
  for _, vkey in ipairs(args.name and {} or vkeys) do
    local name = note.name(vkey)
    local key = name and note.key(name, secret)
    if key and key:vkey() == vkey then return key end
  end
  if not args.name then
    errors.raise {
      code = "invalid", message = ("%s is not in the project file's approvals.keys"):format(args.key_file),
      hint = "Give --name, the name that the key was created with.",
    }
  end
  local key
  key, err = note.key(args.name, secret)
  if not key then error(err, 0) end
  return key
end

local function summary(document)
  local lines = {}
  for i, change in ipairs(document.plan.resource_changes or {}) do
    lines[i] = ("%s  %s%s"):format(tostring(change.address), table.concat((change.change or {}).actions or {}, ", "),
      type(change.undo) == "table" and change.undo.possible == false and "  (can't be undone)" or "")
  end
  lines[#lines + 1] = ("%s  %s"):format(document.plan.gateway, approvals.counts(document.plan))
  lines[#lines + 1] = "plan " .. document.id
  return table.concat(lines, "\n")
end

function M.run(ctx, args)
  local document = approvals.read(args.plan)
  local key = key_of(args)
  ctx:tell(summary(document))
  if not args.yes and not confirm.ask(ctx, "approve", "Approve this plan?") then
    errors.raise { code = "denied", message = "not approved" }
  end
  local signed = approvals.append(args.plan, key, time.now() + args.expires)
  ctx:result({ plan = document.id, note = signed, vkey = key:vkey() }, (signed:gsub("\n$", "")))
end

return M
