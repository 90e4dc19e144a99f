-- secrets.lua - lines of a prompt without the secrets that were typed in them, for the history. Known values are taken
-- out by whoever writes; this finds what only its name gives away.
local lexer = require "moongate.source.lexer"
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

-- What may stand between a name's `=` and a text that it is given: `local a, token <const> = old or "x", ("y" .. "z")`.
local VALUE = { ["("] = true, [".."] = true, [","] = true, ["or"] = true, ["and"] = true, ["nil"] = true, ["."] = true }

-- Whether tokens[k] may; a name that is called may not: in `token = secret.env "NAME"` the text is none.
local function is_part(tokens, k)
  local token, after = tokens[k], tokens[k + 1]
  if token.kind == "name" then return after.text ~= "(" and VALUE[after.text] ~= nil end
  return VALUE[token.text] or token.kind == "string"
end

-- Whether one of the names, or keys, before the `=` at tokens[i] is a secret's.
local function gives_to_secret(tokens, i)
  for k = i - 1, 1, -1 do
    local token = tokens[k]
    if token.kind == "name" then
      if M.is_name(token.text) then return true end
    elseif token.kind == "string" and tokens[k - 1] and tokens[k - 1].text == "[" then
      if M.is_name(token.text:sub(2, -2)) then return true end
    elseif not token.text:find "^[,.<>%[%]]$" then
      return false
    end
  end
  return false
end

local function is_secret(tokens, i)
  local k = i - 1
  while k > 0 and is_part(tokens, k) do k = k - 1 end
  if k > 0 and tokens[k].text == "=" and gives_to_secret(tokens, k) then return true end
  local at = tokens[i - 1] and tokens[i - 1].text == "(" and i - 2 or i - 1
  local fn, owner = tokens[at] or {}, tokens[at - 2] or {}
  return fn.kind == "name" and CALLS[fn.text] ~= nil and CALLS[fn.text] == owner.text
end

-- M.clean(line) -> the line with "***" in place of secrets.
function M.clean(line)
  local tokens = lexer.tokens(line)
  for i = #tokens, 1, -1 do
    local token = tokens[i]
    local text = token.text
    local header = token.kind == "string" and text:lower():find "^.bearer " or text:lower():find "^.basic "
    if token.kind == "string" and (header or is_secret(tokens, i)) then
      local quote = text:match "^[\"']" or '"'
      line = line:sub(1, token.at - 1) .. quote .. "***" .. quote .. line:sub(token.at + #text)
    end
  end
  return span.clean(line)
end

return M
