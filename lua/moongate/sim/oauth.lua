-- oauth: POST /oauth/token (client credentials), and the check of the bearer token on every call.
local errors = require "moongate.sim.errors"
local hash = require "moongate.hash"
local httpd = require "moongate.httpd"
local time = require "moongate.time"

local M = { name = "oauth" }

local Oauth = {}
Oauth.__index = Oauth

function M.new(gw)
  return setmetatable({ gw = gw, tokens = {}, minted = 0 }, Oauth)
end

function M.show(self)
  local now, live = time.monotonic(), 0
  for _, token in pairs(self.tokens) do
    if token.expires_at > now then live = live + 1 end
  end
  return { minted = self.minted, live = live, ttl = self.gw.options.token_ttl }
end

function Oauth:expire()
  for _, token in pairs(self.tokens) do token.expires_at = 0 end
end

-- ---- minting ----

-- The login host's own error form.
local function fail(status, code, description)
  return {
    status = status,
    headers = status == 401 and { ["WWW-Authenticate"] = 'Basic realm="oauth"' } or nil,
    json = { error = code, description = description, error_description = description },
  }
end

-- The login host answers 400 where the API answers 429.
function M.rate_limited()
  return fail(400, "invalid_request", "rate limit exceeded")
end

local function basic(header)
  local encoded = header and header:match "^[Bb][Aa][Ss][Ii][Cc]%s+(%S+)%s*$"
  local text = encoded and hash.unbase64(encoded)
  if not text then return nil end
  return text:match "^([^:]*):(.*)$"
end

-- The scopes that are asked for, as a set: all that the client may have when none is.
local function granted(gw, scope)
  if not scope or scope == "" then return gw.grantable end
  local set = {}
  for name in scope:gmatch "%S+" do
    if not gw.grantable[name] then return nil, name end
    set[name] = true
  end
  return set
end

local function names(set)
  local list = {}
  for name in pairs(set) do list[#list + 1] = name end
  table.sort(list)
  return table.concat(list, " ")
end

local function mint(gw, call)
  local o = gw.options
  if not (call.req.headers["content-type"] or ""):lower():find("^application/x%-www%-form%-urlencoded") then
    return fail(400, "invalid_request", "the content type must be application/x-www-form-urlencoded")
  end
  local form = httpd.parse_query(call.req.body)
  if not form.grant_type then return fail(400, "invalid_request", "grant_type is missing") end
  if form.grant_type ~= "client_credentials" then
    return fail(400, "unsupported_grant_type", "grant_type must be client_credentials")
  end
  local id, secret = basic(call.req.headers.authorization)
  if not id then return fail(401, "invalid_client", "client id and secret are wanted as Basic credentials") end
  if id ~= o.client_id then return fail(400, "invalid_client", "client not found") end
  if not hash.equal(secret, o.client_secret) then return fail(401, "invalid_client", "authentication failed") end
  local scopes, unknown = granted(gw, form.scope)
  if not scopes then return fail(400, "invalid_scope", "scope " .. unknown .. " is not granted to this client") end

  local value = "sim-" .. gw.rng:hex(2)
  gw.oauth.tokens[value] = { scopes = scopes, expires_at = time.monotonic() + o.token_ttl }
  gw.oauth.minted = gw.oauth.minted + 1
  return {
    headers = { ["Cache-Control"] = "no-store" },
    json = { access_token = value, token_type = "bearer", expires_in = o.token_ttl, scope = names(scopes) },
  }
end

-- ---- checking ----

-- The token of a call -> token | nil, response
function Oauth:check(call)
  local header = call.req.headers.authorization
  if not header then
    return nil, errors.response(call, 401, "authentication.required",
      "No authentication bearer token in the authorization header.")
  end
  local token = self.tokens[header:match "^[Bb][Ee][Aa][Rr][Ee][Rr]%s+(%S+)%s*$"]
  if not token or token.expires_at <= time.monotonic() then
    return nil, errors.response(call, 401, "bad.credentials", "Invalid login credentials.")
  end
  return token
end

-- nil, or the 403 that names the missing scope
function M.permit(call, token, scope)
  if not scope or token.scopes[scope] then return nil end
  return errors.response(call, 403, "missing.any.permissions",
    ("You need at least one of the following permissions: [%s]"):format(scope),
    { { errorCode = "missing.permission", fieldName = "scope", entityName = scope } })
end

M.routes = {
  { "POST", "/oauth/token", login = true, handler = mint },
}

return M
