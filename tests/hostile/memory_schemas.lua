-- What C code holds for a script, beside Lua's own memory: compiled schemas.
-- flags: --max-memory 64M --max-time 20s
-- status: 1
-- says: out of memory|not enough memory|memory limit
local validate = require "moongate.validate"
local values, kept = {}, {}
for i = 1, 2000 do values[i] = "value number " .. i end
while true do kept[#kept + 1] = assert(validate.compile { enum = values }) end
