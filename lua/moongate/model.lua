-- model.lua - models of the gateway: registration files read and checked, a model registered, its endpoint tested, its
-- health checked, a model configured. What each does is in model/; this is the way to it.

local configuration = require "moongate.model.configuration"
local registration = require "moongate.model.registration"
local synthetic = require "moongate.model.synthetic"

return {
  LIMITS = registration.LIMITS,

  -- files
  check = registration.check,
  load = registration.load,
  load_all = registration.load_all,

  -- on the gateway
  listed = registration.listed,
  find = registration.find,
  register = registration.register,
  check_health = registration.check_health,

  -- what a model is configured as: load_all, capabilities, get, put, confirm, …
  configuration = configuration,

  -- on the model's endpoint
  test = synthetic.run,
  origin = synthetic.origin,
}
