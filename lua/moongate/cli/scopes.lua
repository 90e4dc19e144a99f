-- scopes.lua - what each bundled job asks of the gateway: methods, paths and scopes, and what it does without those
-- that it can do without. For doctor.

local kinds = require "moongate.gateway.kinds"

local M = {}

-- {kind, method, field of the kind that has the path, access, what the job does without it}
local JOBS = {
  { "deploy-index", { "index", "GET", "path", "read" }, { "index", "PUT", "path", "write" } },
  { "promote-template",
    { "template_version", "GET", "list", "read" }, { "template_version", "POST", "path", "write" } },
  { "configure-model",
    { "registered_model", "GET", "path", "read", "reads the listing of models, or takes --capabilities" },
    { "model_configuration", "GET", "path", "read", "writes without comparing (--no-read)" },
    { "model_configuration", "PUT", "path", "write" } },
  { "register-model",
    { "model", "GET", "list", "read", "looks for no duplicates" }, { "model", "POST", "path", "write" },
    { "model", "GET", "job" }, { "model_health", "POST", "path", "read" } },
  { "route-prompts",
    { "model", "GET", "list", "read", "sends names of models as ids" }, { "prompt", "POST", "path", "write" } },
}

local function need_of(all, row)
  local kind = all[row[1]]
  if not kind then return nil end
  if row[3] == "job" then return kind.job and { method = "GET", path = kind.job.path, scope = kind.job.scope } end
  return { method = row[2], path = kind[row[3]], scope = kind.scopes and kind.scopes[row[4]], without = row[5] }
end

-- M.jobs(dialect, overrides) -> list of {name, needs = list of {method, path, scope, without}}
function M.jobs(dialect, overrides)
  local all, list = kinds.load(dialect or "genesys", overrides), {}
  for i, job in ipairs(JOBS) do
    local needs = {}
    for n = 2, #job do needs[#needs + 1] = need_of(all, job[n]) end
    list[i] = { name = job[1], needs = needs }
  end
  return list
end

local function names_in(text)
  local names = {}
  for name in (text or ""):gmatch "[^%s,]+" do names[#names + 1] = name end
  return names
end

-- M.judge(job, granted = text | nil) -> required, missing, optional: lists of scopes; optional: {scope, without}.
-- missing is empty where it is not known what was granted.
function M.judge(job, granted)
  local has, seen, required, missing, optional = {}, {}, {}, {}, {}
  for _, name in ipairs(names_in(granted)) do has[name] = true end
  for _, need in ipairs(job.needs) do
    for _, name in ipairs(not need.without and names_in(need.scope) or {}) do
      if not seen[name] then required[#required + 1] = name end
      if not seen[name] and granted and not has[name] then missing[#missing + 1] = name end
      seen[name] = true
    end
  end
  local by_name = {}
  for _, need in ipairs(job.needs) do
    for _, name in ipairs(need.without and not seen[need.scope] and names_in(need.scope) or {}) do
      local one = by_name[name]
      if one then
        one.without = one.without .. ", and " .. need.without
      else
        by_name[name] = { scope = name, without = need.without }
        optional[#optional + 1] = by_name[name]
      end
    end
  end
  return required, missing, optional
end

return M
