-- endpoint.lua - where a run's synthetic tests go, and which endpoint gets the token. For workflows.

local auth = require "moongate.auth"
local errors = require "moongate.error"
local secret = require "moongate.secret"
local synthetic = require "moongate.model.synthetic"

local M = {}

M.TOKEN = "EXTERNAL_AI_TOKEN"

-- M.of(run, url) -> the URL that is called, and whether the simulated gateway plays it: under --sim it plays every
-- https endpoint, so that nobody outside hears of a trial; plain http is on this machine.
function M.of(run, url)
  if run.simulated and url:lower():find("^https:") then return auth.info().api_url, true end
  return url, false
end

local function usage(fmt, ...)
  errors.raise { code = "usage", message = fmt:format(...) }
end

local function origins_of(run, urls)
  local seen, list = {}, {}
  for _, url in ipairs(urls) do
    local called, simulated = M.of(run, url)
    local origin = synthetic.origin(called)
    if not simulated and not seen[origin] then
      seen[origin] = true
      list[#list + 1] = origin
    end
  end
  return list
end

-- An origin that no file names is most likely misspelt: its endpoint would be tested without the token.
local function warn_of_strangers(run, urls, allowed)
  local named = {}
  for _, url in ipairs(urls) do named[synthetic.origin(url)] = true end
  for origin in pairs(allowed) do
    if not named[origin] then run.log.warn("--token-origin %s is the origin of no endpoint in the files", origin) end
  end
end

-- M.tokens(run, urls, origins) -> function(url) -> the token's handle, or nil. The environment's one token goes to the
-- origins given, else to the one origin that all URLs have. Raises "usage" where they have several: it is nobody
-- else's.
function M.tokens(run, urls, origins)
  local token, allowed = secret.env(M.TOKEN), {}
  for _, origin in ipairs(origins) do
    local plain = synthetic.origin(origin)
    if not plain then usage("--token-origin '%s' is not an origin: https://host", origin) end
    allowed[plain] = true
  end
  warn_of_strangers(run, urls, allowed)
  if token and not next(allowed) then
    local list = origins_of(run, urls)
    if #list > 1 then
      usage("%s is one token, and the files name %d endpoints (%s): say with --token-origin which of them get it",
        M.TOKEN, #list, table.concat(list, ", "))
    end
    if list[1] then allowed[list[1]] = true end
  end
  return function(url) return allowed[synthetic.origin(url)] and token or nil end
end

return M
