-- require "moongate": every module as a field, loaded when it is first touched.
return setmetatable({}, {
  __index = function(t, name)
    local m = require("moongate." .. name)
    rawset(t, name, m)
    return m
  end,
})
