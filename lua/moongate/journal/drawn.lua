-- drawn.lua - what a script finds in moongate.time, moongate.uuid and math: in a run, outside of its steps, what it has
-- drawn there is the same again when the run is taken up. For sandbox.lua only.

local scope = require "moongate.scope"

local M = {}

local function drawn(name, make)
  local context = scope.get()
  if not context then return make() end
  return context.journal:value(name, make)
end

local WRAP = {}

function WRAP.time(module)
  local now, iso, http_date = module.now, module.iso, module.http_date
  function module.now() return drawn("time", now) + 0.0 end
  function module.iso(at) return iso(at or module.now()) end
  function module.http_date(at) return http_date(at or module.now()) end
end

function WRAP.uuid(module)
  local v4, v7 = module.v4, module.v7
  function module.v4() return drawn("uuid.v4", v4) end
  function module.v7() return drawn("uuid.v7", v7) end
end

-- M.module(name, the script's own copy of it)
function M.module(name, module)
  local wrap = WRAP[name:match "^moongate%.(%l+)$"]
  if wrap then wrap(module) end
end

-- M.random(plain) -> math.random
function M.random(plain)
  return function(...)
    if not scope.get() then return plain(...) end
    return require("moongate.journal.steps").random(plain, ...)
  end
end

return M
