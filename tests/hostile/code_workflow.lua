-- A workflow that declares much and is given nothing.
-- status: 7
-- says: --allow-net=evil.example --allow-read=/etc --allow-write=/ --allow-env=CANARY_SECRET
return require("moongate.workflow").define {
  name = "greedy", summary = "Declares all it can",
  permissions = { net = { "evil.example" }, read = { "/etc" }, write = { "/" }, env = { "CANARY_SECRET" } },
  run = function() print "LEAK" end,
}
