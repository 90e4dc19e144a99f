-- A variable that nobody has allowed.
-- status: 7
-- says: --allow-env=CANARY_SECRET
local handle, err = require('moongate.secret').env 'CANARY_SECRET'
if handle then print 'LEAK' end
error(err, 0)
