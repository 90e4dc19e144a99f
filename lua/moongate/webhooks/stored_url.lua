-- stored_url.lua - what the store knows a webhook of the project file by. With some receivers the path or the query of
-- the URL is the key: of such a one the store has the origin and a hash, and the URL is found again by the webhook's
-- name.

local hash = require "moongate.hash"

local M = { SECRET_FROM = 16 } -- bytes; a shorter path is a word such as /webhooks/llm

-- M.parts(url) -> path and query, those that may be a key
function M.parts(url)
  local out = {}
  local path, query = url:match "^%a+://[^/?#]*([^?#]*)%??([^#]*)"
  for _, part in ipairs { path or "", query or "" } do
    if #part >= M.SECRET_FROM then out[#out + 1] = part end
  end
  return out
end

-- M.keys(url) -> the parts, and the values in the query that look like a key: a receiver may repeat one alone
function M.keys(url)
  local out = M.parts(url)
  for value in (url:match "%?([^#]*)" or ""):gmatch "=([^&;]*)" do
    if #value >= M.SECRET_FROM and value:find "%d" and value:find "%a" then out[#out + 1] = value end
  end
  return out
end

-- M.of(url) -> the URL, or of one with a key in it "https://host/#" and a hash
function M.of(url)
  if #M.parts(url) == 0 then return url end
  return ("%s/#%s"):format(url:match "^%a+://[^/?#]*" or "", hash.sha256(url))
end

return M
