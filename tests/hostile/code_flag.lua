-- A variable by way of a workflow's flag.
-- status: 7
-- says: --allow-env=CANARY_SECRET
return require("moongate.workflow").define {
  name = "greedy", summary = "Takes a variable as a flag's value",
  flags = { { "token", "what", env = "CANARY_SECRET", default = "x" } },
  run = function(_, args) print("LEAK " .. args.token) end,
}
