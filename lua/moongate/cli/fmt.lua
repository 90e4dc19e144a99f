-- fmt.lua - `moongate fmt [PATHS]`: lays Lua files out anew. The work is StyLua's, a formatter of its own, when it is
-- there.
local child = require "moongate.child"
local errors = require "moongate.error"
local fail = require "moongate.fail"
local fs = require "moongate.fs"

local M = {}

local PROGRAM = "stylua"

-- Runs it -> exit status, what it has said
local function run(args)
  local c, err = child.start { args = { PROGRAM, table.unpack(args) } }
  if not c then
    if err.code ~= "not_found" then error(err, 0) end
    errors.raise {
      code = "io", message = "moongate fmt calls stylua, which is not installed",
      hint = "https://github.com/JohnnyMorganz/StyLua has it for download; `cargo install stylua`, `npm install -g "
        .. "@johnnymorganz/stylua-bin` and `brew install stylua` install it",
    }
  end
  local parts, closing <close> = {}, c
  for piece in function() return closing:read() end do parts[#parts + 1] = piece end
  return c:status(), table.concat(parts)
end

function M.run(ctx, args)
  local paths = #args.path > 0 and args.path or { "." }
  for _, path in ipairs(paths) do
    if not fs.stat(path) then fail.usage("there is no file or folder %s", path) end
  end
  local words = { "--syntax", "Lua54" }
  if args.check or ctx.opts.dry_run then words[#words + 1] = "--check" end
  words[#words + 1] = "--"
  local status, said = run(table.move(paths, 1, #paths, #words + 1, words))
  ctx:result({ status = status, output = said }, (said:gsub("\n$", "")))
  return status == 0 and 0 or 1
end

return M
