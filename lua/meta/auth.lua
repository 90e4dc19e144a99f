---@meta moongate.auth

---Credentials as opaque handles. A handle is bound to one origin; the Authorization header is built in C, and only
---for requests to that origin. No token or secret can be read through it.

---@class moongate.auth
local auth = {}

---Prints as "credential for https://… (***)".
---@class moongate.auth.handle

---The credential of the session's gateway, from flags, environment, project file or gc profile. The same handle each
---time, so that a session mints one token. An HTTP client with it sends reads only: writes go through the gateway.
---@return moongate.auth.handle? handle
---@return moongate.error? err "unauthorized", with what to set
function auth.gateway() end

---A token that is sent as it is, and never renewed.
---@param token moongate.secret.handle|string
---@param origin string URL whose origin gets it
---@return moongate.auth.handle? handle
---@return moongate.error? err "invalid"
function auth.bearer(token, origin) end

---@class moongate.auth.client_options
---@field client_id string
---@field client_secret moongate.secret.handle|string
---@field login_url string     tokens come from {login_url}/oauth/token
---@field origin string        URL whose origin gets the tokens
---@field scopes? string       separated by spaces; default: all that the client has

---OAuth 2.0 client credentials. Nothing is sent before the first token is needed. One token request at a time, however
---many tasks wait for it; a 401 mints once more and replays the call once.
---@param options moongate.auth.client_options
---@return moongate.auth.handle? handle
---@return moongate.error? err "invalid"
function auth.client_credentials(options) end

---Makes sure that there is a token. Only inside a task. Never gives the token.
---@param handle moongate.auth.handle
---@param seconds? number      how long the login host is tried; default 30
---@return {source: "given"|"client_credentials", expires_at: number?, scope: string?}? token expires_at: Unix seconds; scope: granted, as the login host says
---@return moongate.error? err "unauthorized", "connect", …
function auth.token(handle, seconds) end

---@class moongate.auth.info
---@field region? string
---@field region_value? string the region as it was given: a name, a domain or a URL
---@field api_url? string
---@field login_url? string
---@field client_id? string    masked
---@field source table<string, string> field -> where it came from: "--region", "GENESYSCLOUD_REGION", …

---Where the session's gateway is and where that was found. Sends nothing.
---@return moongate.auth.info
function auth.info() end

return auth
