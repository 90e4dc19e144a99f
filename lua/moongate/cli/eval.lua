-- eval.lua - `moongate -e CHUNK [args]`: a chunk from the command line, run as a plain script.
local host = require "moongate.host"
local run = require "moongate.cli.run"

local M = {}

function M.run(ctx, args)
  local chunk, err = host.load_chunk(args.chunk, "=(command line)", args.args)
  if not chunk then error(err, 0) end
  return run.start(ctx, chunk, "-e", args.args)
end

return M
