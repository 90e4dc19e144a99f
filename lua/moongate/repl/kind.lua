-- kind.lua - `:type`: what a value is, in a line or two.
local host = require "moongate.host"
local json = require "moongate.json"
local text = require "moongate.text"

local M = {}

local function of_table(session, v)
  local mt = host.raw_getmetatable(v)
  for name, known in pairs(host.metatables()) do
    if known == mt then return name:gsub("^moongate%.", "") end
  end
  if v == session.run then return "workflow.run" end
  if v == rawget(session.run, "gateway") then return "gateway.handle" end
  local names, n = {}, 0
  for key in next, v do
    n = n + 1
    if type(key) == "string" then names[#names + 1] = key end
  end
  if json.is_array(v) then return ("array of %d"):format(#v) end
  table.sort(names)
  local shown = table.concat(names, ", ", 1, math.min(#names, 12))
  return ("table with %d field%s%s%s"):format(n, n == 1 and "" or "s", shown ~= "" and ": " .. shown or "",
    #names > 12 and ", ..." or "")
end

local function of_function(session, v)
  local name = session:name_of(v)
  if not name then return "function" end
  local kind, fn = require("moongate.meta").find(name)
  if kind ~= "function" and kind ~= "method" then return "function " .. name end
  return "function " .. require("moongate.meta.pages").signature(fn, name:match "^(.*)[.:]")
end

function M.of(session, v)
  local kind = type(v)
  if v == json.null then return "json.null" end
  if kind == "number" then return math.type(v) end
  if kind == "string" then return "string of " .. text.count(#v, "byte") end
  if kind == "function" then return of_function(session, v) end
  if kind == "table" then return of_table(session, v) end
  if kind == "userdata" then
    local mt = host.raw_getmetatable(v)
    for name, known in pairs(host.metatables()) do
      if known == mt then return (name:gsub("^moongate%.", "")) end
    end
  end
  return kind
end

return M
