-- work.lua - the declaration of `moongate work`, see commands.lua: other names for parts of `moongate queue`.

local queue = require "moongate.cli.commands.queue"

local NAME = { "name", "name of a queue of prompts" }

local function renamed(spec, changes)
  local out = {}
  for key, value in pairs(spec) do out[key] = value end
  for key, value in pairs(changes) do out[key] = value end
  return out
end

return renamed(queue.work, {
  bare = true,
  summary = "same as moongate queue work",
  examples = { { "moongate work --drain" }, { "moongate work --state postgres://db/moongate -c 32" } },
  commands = {
    {
      name = "status",
      exits = { 1, 3 },
      summary = "same as moongate queue list --kind prompt",
      args = { { "name", "a queue of prompts (default: all)", optional = true } },
      examples = { { "moongate work status" } },
    },
    renamed(queue.results, {
      summary = "same as moongate queue results",
      examples = { { "moongate work results prompts --follow > results.jsonl" } },
    }),
    renamed(queue.set, {
      summary = "same as moongate queue set",
      examples = { { "moongate work set prompts --concurrency 64 --rate 20" } },
    }),
    {
      name = "retry",
      exits = { 1, 3 },
      summary = "same as moongate queue retry --kind prompt",
      args = { NAME },
      flags = { queue.failed },
      examples = { { "moongate work retry prompts" } },
    },
    {
      name = "drop",
      exits = { 1, 3 },
      summary = "same as moongate queue drop --kind prompt",
      args = { NAME },
      flags = queue.drop,
      examples = { { "moongate work drop prompts --all" } },
    },
  },
})
