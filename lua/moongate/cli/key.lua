-- key.lua - `moongate key new`. The private key goes from C to the file, never into Lua.
local errors = require "moongate.error"
local fail = require "moongate.fail"
local host = require "moongate.host"
local note = require "moongate.note"

local M = {}

function M.new(ctx, args)
  if #args.name > 200 or args.name:find "[%s%c+]" or args.name == "" then
    fail.usage("a key's name has 1 to 200 characters, no white space and no '+' (is '%s')", args.name)
  end
  local key, err = note.generate(args.name)
  if not key then error(err, 0) end
  local ok
  ok, err = host.write_secret(args.out, assert(note.pem(key)))
  if not ok and err.code == "exists" then
    err = errors.new { code = "exists", message = err.message, hint = "Give another file to --out." }
  end
  if not ok then error(err, 0) end
  ctx:result({ vkey = key:vkey(), file = args.out }, key:vkey())
end

return M
