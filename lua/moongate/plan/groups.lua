-- groups.lua - which files declare which resources: the project file's `resources`, else the usual folders beside it.
-- For plan.lua.

local errors = require "moongate.error"
local fs = require "moongate.fs"
local host = require "moongate.host"

local M = {}

-- Without `resources`: folder -> kind.
local FOLDERS = {
  { "indexes", "index" }, { "templates", "template_version" }, { "models", "model" },
  { "configurations", "model_configuration" },
}

local function usage(hint, fmt, ...)
  errors.raise { code = "usage", message = fmt:format(...), hint = hint }
end

local function plain(path)
  path = path:gsub("^%./+", ""):gsub("(.)/+$", "%1")
  return path
end

-- A path of the project file as it is seen from the working directory.
local function beside(path)
  local project = host.project()
  if path:sub(1, 1) == "/" or not project.dir then return plain(path) end
  local cwd = host.cwd()
  if project.dir == cwd then return plain(path) end
  return plain(project.dir .. "/" .. path)
end

local function declared(run)
  local groups = {}
  for _, group in ipairs(run.project.resources or {}) do
    local place = {}
    for name, value in pairs(group.place or {}) do place[name] = value end
    groups[#groups + 1] = { kind = run.gateway:kind(group.kind).name, files = beside(group.files), place = place,
      id = group.id }
  end
  if #groups > 0 then return groups end
  for _, folder in ipairs(FOLDERS) do
    local path = beside(folder[1])
    local info = fs.stat(path)
    if info and info.type == "directory" then
      groups[#groups + 1] = { kind = folder[2], files = path, place = {} }
    end
  end
  return groups
end

-- A folder without files declares nothing: it may have had some, or get some.
local function is_empty(path)
  local info = fs.stat(path)
  if not info or info.type ~= "directory" then return false end
  for _, name in ipairs(fs.list(path) or { "?.json" }) do
    if name:sub(1, 1) ~= "." and (name:find "%.json$" or name:find "%.txt$") then return false end
  end
  return true
end

local function is_below(path, folder) return path == folder or path:sub(1, #folder + 1) == folder .. "/" end

local function names(groups)
  local list = {}
  for i, group in ipairs(groups) do list[i] = group.files end
  return table.concat(list, ", ")
end

-- M.of(run, paths, vector store | nil) -> list of {kind, files, place, id, paths = what to load}. paths: files and
-- folders of them that are wanted; none: all.
function M.of(run, paths, vector_store)
  local groups = declared(run)
  if #groups == 0 then
    usage("Create indexes/, templates/, models/ or configurations/, or declare `resources` in moongate.lua.",
      "no files declare resources here")
  end
  for _, group in ipairs(groups) do
    group.paths = #paths == 0 and not is_empty(group.files) and { group.files } or {}
    if group.kind == "index" and not group.place.vectorStoreId then
      group.place.vectorStoreId = vector_store or run.simulated and "sim-store" or nil
    end
  end
  for _, path in ipairs(paths) do
    local found = false
    for _, group in ipairs(groups) do
      local own = plain(path)
      if is_below(own, group.files) then
        group.paths[#group.paths + 1], found = own, true
      elseif is_below(group.files, own) then
        group.paths[#group.paths + 1], found = group.files, true
      end
    end
    if not found then
      usage("Declare it in `resources` of moongate.lua.", "%s is not in a folder of resources (%s)", path,
        names(groups))
    end
  end
  return groups
end

return M
