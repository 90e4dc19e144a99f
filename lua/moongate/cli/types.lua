-- types.lua - `moongate types [DIR]`: lua/meta as files for an editor, and a .luarc.json that names them.
local fs = require("moongate.host").fs -- what the user names, not a script
local host = require "moongate.host"
local json = require "moongate.json"
local sandbox = require "moongate.sandbox"
local text = require "moongate.text"

local M = {}

local DIR, SETTINGS = ".moongate/types", ".luarc.json"

-- The settings that lua-language-server reads.
function M.settings(dir)
  return assert(json.encode {
    ["runtime.version"] = "Lua 5.4",
    ["runtime.builtin"] = { debug = "disable", io = "disable", os = "disable", package = "disable" },
    ["workspace.library"] = json.array { dir },
    ["workspace.checkThirdParty"] = false,
  }) .. "\n"
end

function M.run(ctx, args)
  local dir = args.dir or DIR
  assert(fs.mkdir(dir))
  local n = 0
  for _, name in ipairs(require("moongate.meta").modules()) do
    if sandbox.public(name) then
      local file = name:gsub("^moongate%.", "") .. ".lua"
      assert(fs.write(dir .. "/" .. file, host.embedded("meta/" .. file)))
      n = n + 1
    end
  end
  local lines = { ("%s: types of %s"):format(dir, text.count(n, "module")) }
  local there = fs.stat(SETTINGS) ~= nil
  if there then
    lines[2] = ("%s already exists; add to it: \"workspace.library\": [%q]"):format(SETTINGS, dir)
  else
    assert(fs.write(SETTINGS, M.settings(dir)))
    lines[2] = SETTINGS .. " names them"
  end
  ctx:result({ dir = dir, modules = n, settings = SETTINGS, written = not there }, table.concat(lines, "\n"))
end

return M
