-- configuration.lua - the keeper of model configurations, see keepers.lua.

local errors = require "moongate.error"
local generic = require "moongate.keepers.generic"
local keepers = require "moongate.keepers"
local model = require "moongate.model"
local resources = require "moongate.resources"

local configuration = model.configuration

local M = setmetatable({}, { __index = generic })

function M.load(run, group)
  local kind, items = run.gateway:kind "model_configuration", {}
  for i, item in ipairs(configuration.load_all(group.paths)) do
    local place = configuration.place(item.config)
    items[i] = {
      address = resources.address(kind, place), place = place, content = item.config, file = item.file, origin = item,
    }
  end
  return items
end

-- What the model can't do is an error of the file, as in configure-model.
function M.look(gateway, item)
  local capable, found, untold = pcall(configuration.capabilities, gateway, item.content.model_id)
  if not capable then error(found, 0) end
  item.origin.capabilities = untold and {} or found or false
  configuration.check_capabilities { item.origin }
  local live, unserved = configuration.get(gateway, item.content)
  if unserved then
    unserved.hint = "A plan needs to read: use configure-model --no-read."
    error(unserved, 0)
  end
  return keepers.see(live)
end

function M.write(gateway, change, opts)
  return configuration.put(gateway, change.change.after, keepers.base(change), opts)
end

function M.announce(_, result)
  return "llm_config_change", {
    audit_log = result.audit_log, configuration_snapshot = configuration.snapshot(result.content),
  }
end

function M.confirm(gateway, change, result)
  local ok, err = pcall(configuration.confirm, gateway, change.change.after, result)
  if not ok and errors.is(err) then error(err, 0) end
  if not ok then error(err, 0) end
end

return M
