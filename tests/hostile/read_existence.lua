-- Whether something is there can't be told from why it can't be read.
-- flags: --max-time 10s
-- status: 0
-- says: told apart: none
local fs = require "moongate.fs"
local outside = arg[2]
local told = {}
local function ask(fn, path)
  local _, err = fn(path)
  return err and err.code or "ok"
end
for _, fn in ipairs { fs.stat, fs.read, fs.list, fs.mkdir, fs.remove, function(path) return fs.write(path, "x") end } do
  for _, form in ipairs { "%s/%s", "%s/%s/..", "%s/%s/../x", "%s/%s/../../x/..", "dir/%.0s%s/..", "../outside/%.0s%s/.." } do
    local there = ask(fn, form:format(outside, "canary"))
    for _, name in ipairs { "nothing", "nothing/deeper", ("x"):rep(300) } do
      local other = ask(fn, form:format(outside, name))
      if other ~= there then told[#told + 1] = form .. " " .. there .. "/" .. other end
    end
  end
end
print("told apart: " .. (#told > 0 and "LEAK " .. table.concat(told, ", ") or "none"))
