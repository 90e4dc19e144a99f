-- show.lua - `moongate show NAME`: see list.lua.
local list = require "moongate.cli.list"

return { run = list.show }
