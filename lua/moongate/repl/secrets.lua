-- secrets.lua - lines of a prompt without the secrets that were typed in them, for the history. Known values are taken
-- out by whoever writes; this finds what only its name gives away.
local lexer = require "moongate.cli.lexer"
local span = require "moongate.span"

local M = {}

local WORDS = {
  "secret", "token", "password", "passwd", "passphrase", "apikey", "api_key", "api-key", "private_key", "credential",
  "authorization", "bearer",
}
-- Names that hold such a word and no secret.
local HARMLESS = { max_tokens = true, prompt_tokens = true, input_tokens = true, output_tokens = true, tokens = true,
  token_ttl = true, total_tokens = true }

-- Whether what goes by this name is a secret.
function M.is_name(name)
  if type(name) ~= "string" or HARMLESS[name] then return false end
  local lower = name:lower()
  for _, word in ipairs(WORDS) do
    if lower:find(word, 1, true) then return true end
  end
  return false
end

-- Calls whose string argument is one: secret.of "…", auth.bearer("…").
local CALLS = { of = "secret", bearer = "auth" }

local function named_by(tokens, i)
  local one, two = tokens[i - 1] or {}, tokens[i - 2] or {}
  if one.text == "=" then
    if two.kind == "name" then return two.text end
    local key = tokens[i - 3]
    return two.text == "]" and key and key.kind == "string" and key.text:sub(2, -2) or nil
  end
  local at = one.text == "(" and i - 2 or i - 1
  local fn, owner = tokens[at] or {}, tokens[at - 2] or {}
  return fn.kind == "name" and CALLS[fn.text] and CALLS[fn.text] == owner.text and "secret" or nil
end

-- M.clean(line) -> the line with "***" in place of secrets.
function M.clean(line)
  local tokens = lexer.tokens(line)
  for i = #tokens, 1, -1 do
    local token = tokens[i]
    local text = token.text
    local header = token.kind == "string" and text:lower():find "^.bearer " or text:lower():find "^.basic "
    if token.kind == "string" and (header or M.is_name(named_by(tokens, i))) then
      local quote = text:match "^[\"']" or '"'
      line = line:sub(1, token.at - 1) .. quote .. "***" .. quote .. line:sub(token.at + #text)
    end
  end
  return span.clean(line)
end

return M
