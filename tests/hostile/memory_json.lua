-- A document as deep as it is long.
-- flags: --max-memory 64M --max-time 10s
-- status: 3
-- says: deep|depth|nested
return assert(require("moongate.json").decode(("["):rep(1e6)))
