-- sim_fixture.lua - a simulated gateway and a plain client with a token for it.
local hash = require "moongate.hash"
local plain_client = require "plain_client"
local sim = require "moongate.sim"

local M = {}

local function copy(opts)
  local c = {}
  for name, value in pairs(opts or {}) do c[name] = value end
  return c
end

-- "Basic ..." for the server's client, or for what is given.
function M.basic(server, secret, id)
  return "Basic " .. hash.base64((id or server.client_id) .. ":" .. (secret or server.client_secret))
end

-- Asks for a token -> response. scope: or nil; authorization: instead of the right one
function M.mint(server, call, scope, authorization)
  return assert(call("POST", "/oauth/token", {
    headers = {
      ["Authorization"] = authorization or M.basic(server),
      ["Content-Type"] = "application/x-www-form-urlencoded",
    },
    body = "grant_type=client_credentials" .. (scope and "&scope=" .. scope or ""),
  }))
end

-- call with a token -> the same with one
function M.with_token(call, token)
  return function(method, path, o)
    o = copy(o)
    o.headers = copy(o.headers)
    o.headers["Authorization"] = "Bearer " .. token
    return call(method, path, o)
  end
end

-- start(opts) -> server, api(method, path, opts), call: the same without a token; the token
function M.start(opts, scope)
  local server = assert(sim.start(opts or {}))
  local call = plain_client.new(server.url)
  local token = M.mint(server, call, scope):json().access_token
  return server, M.with_token(call, token), call, token
end

-- A good index configuration, changed by the fields given.
function M.config(id, fields)
  local c = { indexId = id, dimensions = 8, similarityMetric = "cosine", embeddingFormat = "float32" }
  for name, value in pairs(fields or {}) do c[name] = value end
  return c
end

M.indexes = "/api/v2/ai/vectorstores/store/indexes"

-- Puts an index -> response. headers: If-Match and the like
function M.put(api, id, headers, fields)
  return assert(api("PUT", M.indexes .. "/" .. id, { headers = headers, json = M.config(id, fields) }))
end

return M
