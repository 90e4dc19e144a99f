-- A secret out of a file that is not the script's.
-- status: 7
-- says: --allow-read=
local fs = require "moongate.fs"
local _, outside = ...

local handle, err = require("moongate.secret").file(outside .. "/canary")
if handle then print "LEAK" end
error(err, 0)
