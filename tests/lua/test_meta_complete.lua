-- lua/meta is whole: it reads without a fault, names only types that are declared, and has every method, option and
-- error code that the program has.
local t = require "moongate.test"
local fs = require "moongate.fs"
local meta = require "moongate.meta"
local types = require "moongate.meta.types"

local function source(path) return assert(fs.read(path)) end

-- ---- it reads as LuaLS would read it ----

local BUILT_IN = {}
for name in ([[any nil boolean string number integer function table userdata thread lightuserdata true false self
    unknown]]):gmatch "%S+" do
  BUILT_IN[name] = true
end

local declared = {}
for _, name in ipairs(meta.modules()) do
  local module = meta.module(name)
  for _, class in ipairs(module.classes) do declared[class.name] = true end
  for _, alias in ipairs(module.aliases) do declared[alias.name] = true end
end

-- Names of types in a type, whatever it is made of.
local function unknown_in(kind, generics, out)
  local text = kind:gsub("%b\"\"", ""):gsub("%b''", ""):gsub("%b``", "")
  text = text:gsub("([%w_]+)%??%s*:", "") -- names of parameters and fields
  for name in text:gmatch "[%a_][%w_.]*" do
    if not (BUILT_IN[name] or declared[name] or generics[name] or name == "fun") then out[#out + 1] = name end
  end
  return out
end

local function check_types(faults, where, kind, generics)
  for _, name in ipairs(unknown_in(kind, generics, {})) do
    faults[#faults + 1] = ("%s: type %s is not declared"):format(where, name)
  end
end

local function check_function(faults, module, fn)
  local generics, where = {}, ("%s:%d: %s"):format(module.file, fn.line, fn.name)
  for _, name in ipairs(fn.generics) do generics[name] = true end
  for i, param in ipairs(fn.params) do
    check_types(faults, where, param.type, generics)
    if fn.declared[i] ~= param.name then faults[#faults + 1] = where .. ": @param " .. param.name end
  end
  if #fn.params ~= #fn.declared then faults[#faults + 1] = where .. ": a parameter without @param" end
  for _, result in ipairs(fn.returns) do check_types(faults, where, result.type, generics) end
end

t.test("no fault, every parameter, every type", function()
  local faults = {}
  for _, name in ipairs(meta.modules()) do
    local module = meta.module(name)
    table.move(module.faults, 1, #module.faults, #faults + 1, faults)
    for _, fn in ipairs(module.functions) do check_function(faults, module, fn) end
    for _, class in ipairs(module.classes) do
      for _, parent in ipairs(class.parents) do check_types(faults, class.name, parent, {}) end
      for _, field in ipairs(class.fields) do check_types(faults, class.name .. "." .. field.name, field.type, {}) end
      for _, fn in ipairs(class.methods) do check_function(faults, module, fn) end
    end
    for _, alias in ipairs(module.aliases) do check_types(faults, alias.name, alias.type, {}) end
  end
  if #faults > 0 then error(table.concat(faults, "\n"), 0) end
  t.ok(types.parts("a|b?"))
end)

t.test("a module's name is in its first line, and no class is declared twice", function()
  local seen = {}
  for _, name in ipairs(meta.modules()) do
    local module = meta.module(name)
    t.ok(source(module.file):find("^%-%-%-@meta " .. name:gsub("%p", "%%%0") .. "\n"), module.file)
    for _, class in ipairs(module.classes) do
      t.ok(not seen[class.name], class.name .. " is declared twice")
      seen[class.name] = true
    end
  end
end)

-- ---- methods of objects that Lua makes ----

local OBJECTS = {
  { "lua/moongate/gateway.lua", "Gateway", "moongate.gateway.handle" },
  { "lua/moongate/workflow/run.lua", "Run", "moongate.workflow.run" },
  { "lua/moongate/metrics.lua", "Registry", "moongate.metrics.registry" },
  { "lua/moongate/metrics.lua", "Metric", "moongate.metrics.metric" },
  { "lua/moongate/router.lua", "Router", "moongate.router.handle" },
  { "lua/moongate/sim.lua", "Server", "moongate.sim.server" },
  { "lua/moongate/test/sim.lua", "Session", "moongate.test.sim" },
}

local function set_of(list)
  local set = {}
  for _, entry in ipairs(list) do set[entry.name] = true end
  return set
end

t.test("methods of the objects that Lua modules give", function()
  for _, object in ipairs(OBJECTS) do
    local path, variable, class_name = object[1], object[2], object[3]
    local class, defined = meta.class(class_name), {}
    t.ok(class, class_name .. " is not declared")
    local methods = set_of(class.methods)
    for name in source(path):gmatch("\nfunction " .. variable .. "[.:](%l[%w_]*)") do
      defined[name] = true
      t.ok(methods[name], class_name .. ":" .. name .. " is not described")
    end
    for name in source(path):gmatch("\n" .. variable .. "%.(%l[%w_]*) = ") do defined[name] = true end
    for list in source(path):gmatch("ipairs (%b{}) do\n%s*" .. variable .. "%[name%] = ") do
      for name in list:gmatch '"([%w_]+)"' do defined[name] = true end
    end
    for name in pairs(methods) do
      t.ok(defined[name], ("%s:%s is described, but not there"):format(class_name, name))
    end
  end
end)

t.test("the checks of expect", function()
  local subject = meta.class "moongate.test.subject"
  local methods = set_of(subject.methods)
  for name in pairs(set_of(subject.fields)) do methods[name] = true end
  for name in source("lua/moongate/test/expect.lua"):gmatch "\nfunction checks%.([%w_]+)" do
    t.ok(methods[name] and methods["not_" .. name], name .. " is not described")
  end
end)

-- ---- options ----

-- Every field of any class of a module, and of the tables in its types.
local function fields_of(name)
  local names = {}
  local module = meta.module(name)
  for _, class in ipairs(module.classes) do
    for _, field in ipairs(class.fields) do
      names[field.name] = true
      for inner in field.type:gmatch "([%w_]+)%??%s*:" do names[inner] = true end
    end
  end
  return names
end

t.test("options of native functions", function()
  for _, file in ipairs(assert(fs.list "src/bind")) do
    local module = file:match "^l_([%l]+)[%w_]*%.c$"
    if module and meta.module(module) then
      local fields = fields_of(module)
      for list in source("src/bind/" .. file):gmatch "static const char %*const [%w_]*names%[%] = (%b{})" do
        for name in list:gmatch '"([%w_]+)"' do
          if list:find "NULL" then t.ok(fields[name], ("%s: option %s is not described"):format(file, name)) end
        end
      end
    end
  end
end)

local OPTION_SETS = {
  { "lua/moongate/gateway.lua", "OPTIONS", "moongate.gateway.open_options" },
  { "lua/moongate/gateway.lua", "READ_OPTIONS", "moongate.gateway.read_options" },
  { "lua/moongate/gateway/write.lua", "OPTIONS", "moongate.gateway.write_options" },
  { "lua/moongate/gateway/poll.lua", "OPTIONS", "moongate.gateway.poll_options" },
  { "lua/moongate/router.lua", "OPTIONS", "moongate.router.options" },
  { "lua/moongate/workflow/definition.lua", "FIELDS", "moongate.workflow.definition" },
  { "lua/moongate/workflow/definition.lua", "PERMISSIONS", "moongate.workflow.permissions" },
  { "lua/moongate/sim/options.lua", "specs", "moongate.sim.options" },
  { "lua/moongate/flags.lua", "FLAG_KEYS", "moongate.workflow.flag" },
  { "lua/moongate/flags.lua", "ARG_KEYS", "moongate.workflow.argument" },
}

t.test("options of Lua functions", function()
  for _, set in ipairs(OPTION_SETS) do
    local path, variable, class = set[1], set[2], set[3]
    local list = source(path):match("\nlocal " .. variable .. " = (%b{})")
    t.ok(list, path .. " has no " .. variable)
    local fields = set_of(meta.class(class).fields)
    for name in list:sub(2, -2):gsub("%b{}", "{}"):gsub("%-%-[^\n]*", ""):gmatch "([%a_][%w_]*) =" do
      if name ~= "name" and name ~= "summary" or not class:find "flag$" and not class:find "argument$" then
        t.ok(fields[name], ("%s: %s is not described"):format(class, name))
      end
    end
  end
end)

-- ---- error codes ----

t.test("error codes", function()
  local described, known = {}, {}
  local list = source("lua/meta/error.lua"):match "@alias moongate%.error%.code\n(.-)\n\n"
  for code in list:gmatch '\n?%-%-%-| "([%l_]+)"' do described[code] = true end
  for code in source("src/base/err.c"):match("names%[%] = (%b{})"):gmatch '"([%l_]+)"' do
    if code ~= "ok" then known[code] = true end
  end
  local function scan(folder)
    for _, name in ipairs(assert(fs.list(folder))) do
      local path = folder .. "/" .. name
      if name:find "%.lua$" then
        for code in source(path):gmatch '%f[%w_]code = "([%l_]+)"' do known[code] = true end
      elseif assert(fs.stat(path)).type == "directory" then
        scan(path)
      end
    end
  end
  scan "lua/moongate"
  scan "scripts"
  for code in pairs(known) do t.ok(described[code], "error code " .. code .. " is not described") end
  for code in pairs(described) do t.ok(known[code], "error code " .. code .. " is raised nowhere") end
end)
