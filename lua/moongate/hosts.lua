-- hosts.lua - which hosts a session talks to, and what they were made of. For doctor, and for the first error on a host
-- that does not resolve.

local auth = require "moongate.auth"

local M = {}

-- hosts.origin() -> "https://api.x and https://login.x, made of the region \"x\" (from --region)"; nil where the
-- session has no gateway.
function M.origin()
  local ok, info = pcall(auth.info)
  if not ok or not info.api_url then return nil end
  local names = info.api_url
  if info.login_url ~= info.api_url then names = ("%s and %s"):format(names, info.login_url) end
  local value = info.region_value and ("%q "):format(info.region_value) or ""
  return ("%s, made of the region %s(from %s)"):format(names, value, info.source.region or "default")
end

-- hosts.is_unresolved(err) -> whether that is what is wrong (src/net/http_verdict.c has the words)
function M.is_unresolved(err) return tostring(err.message):find "the host name does not resolve" ~= nil end

-- hosts.hint() -> what to do about a host that does not resolve, or nil
function M.hint()
  local origin = M.origin()
  return origin and ("The hosts are %s. Give --region another one, or the full https:// URL of the API host."):format(
    origin)
end

return M
