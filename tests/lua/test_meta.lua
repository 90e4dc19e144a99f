-- lua/meta describes every native function, and no other.
local t = require "moongate.test"
local fs = require "moongate.fs"
local host = require "moongate.host"

local private = { host = true, session = true }
local names = {}
for _, file in ipairs(assert(fs.list "lua/meta")) do
  names[#names + 1] = file:match "^(.+)%.lua$"
end

-- Described: functions of the module itself, and methods of any of its objects.
local function described(name)
  local text = assert(fs.read("lua/meta/" .. name .. ".lua"))
  local functions, methods = {}, {}
  local module = text:match "\nreturn ([%w_]+)%s*$"
  if not module then error("lua/meta/" .. name .. ".lua does not end with the module", 0) end
  for owner, sep, fn in text:gmatch "\nfunction ([%w_]+)([.:])([%w_]+)%(" do
    if owner == module and sep == "." then functions[fn] = true else methods[fn] = true end
  end
  return functions, methods, text
end

for _, name in ipairs(names) do
  t.test("lua/meta/" .. name .. ".lua", function()
    local functions, methods = described(name)
    local module = require(name == "cjson" and name or "moongate." .. name)
    for fn, v in pairs(module) do
      if type(v) == "function" then t.ok(functions[fn], name .. "." .. fn .. " is not described") end
    end
    for fn in pairs(functions) do t.eq(type(module[fn]), "function", name .. "." .. fn) end
    for object, mt in pairs(host.metatables()) do
      local owner = object:match "^moongate%.([^.]+)"
      if owner == name and type(mt.__index) == "table" then
        for fn, v in pairs(mt.__index) do
          if type(v) == "function" then t.ok(methods[fn], object .. ":" .. fn .. " is not described") end
        end
      end
    end
  end)
end

t.test("every public native module is described", function()
  local seen = {}
  for _, name in ipairs(names) do seen[name] = true end
  for line in assert(fs.read "src/bind/modules.c"):gmatch '{"([^"]+)"' do
    local name = line:gsub("^moongate%.", "")
    if not private[name] then t.ok(seen[name], line .. " has no lua/meta/" .. name .. ".lua") end
  end
end)
