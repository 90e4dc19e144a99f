-- eval.lua - `moongate -e CHUNK [args]`: a chunk from the command line, run as a plain script. `gw` is the gateway, as
-- at the prompt.
local run = require "moongate.cli.run"
local sandbox = require "moongate.sandbox"

local M = {}

function M.run(ctx, args)
  local chunk, err = sandbox.load_chunk(args.chunk, "=(command line)", ".", run.globals("-e", args.args), {
    gw = function()
      require("moongate.cli.settings").check_credentials(ctx)
      return require("moongate.workflow").open(run.session(ctx)).gateway
    end,
  })
  if not chunk then error(err, 0) end
  return run.start(ctx, chunk, "-e", args.args)
end

return M
