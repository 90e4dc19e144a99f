-- chunk.lua - a line of the prompt as a function: an expression without `return`, or statements whose outer locals are
-- made the session's, so that the next line knows them.
local host = require "moongate.host"
local lexer = require "moongate.source.lexer"

local M = {}

local OPEN = { ["function"] = true, ["if"] = true, ["do"] = true, ["repeat"] = true }
local CLOSE = { ["end"] = true, ["until"] = true }

-- `local a <const>, b` at tokens[i]: the token behind it, whether one is to be closed, or nil when it is no such list.
local function name_list(tokens, i)
  local closes = false
  while tokens[i].kind == "name" do
    i = i + 1
    if tokens[i].text == "<" then
      closes = closes or tokens[i + 1].text == "close"
      i = i + 3
    end
    if tokens[i].text ~= "," then return i, closes end
    i = i + 1
  end
end

local function blank(parts, from, to)
  for i = from, to - 1 do
    if parts[i] ~= "\n" then parts[i] = " " end
  end
end

-- What stands between the names of a list (`<const>`) goes.
local function drop_attributes(parts, tokens, from, to)
  for i = from, to - 1 do
    if tokens[i].text == "<" then blank(parts, tokens[i].at, tokens[i + 2].at + 1) end
  end
end

-- M.lift(text) -> text with `local` taken away where it stands outside of every block, same lines; and the names that
-- the text so gives to the session. A local that is to be closed stays one.
function M.lift(text)
  local tokens, parts, names, depth = lexer.tokens(text), {}, {}, 0
  for i = 1, #text do parts[i] = text:sub(i, i) end
  for i, token in ipairs(tokens) do
    if token.kind == "keyword" then
      depth = depth + (OPEN[token.text] and 1 or CLOSE[token.text] and -1 or 0)
      local following = tokens[i + 1]
      if token.text == "local" and depth == 0 and following.text == "function" then
        blank(parts, token.at, following.at)
        names[#names + 1] = tokens[i + 2].text
      elseif token.text == "local" and depth == 0 then
        local stop, closes = name_list(tokens, i + 1)
        if stop and not closes then
          for k = i + 1, stop - 1 do
            if tokens[k].kind == "name" and tokens[k - 1].text ~= "<" then names[#names + 1] = tokens[k].text end
          end
          blank(parts, token.at, following.at)
          drop_attributes(parts, tokens, i + 1, stop)
          if tokens[stop].text ~= "=" then
            local last = tokens[stop - 1]
            local at = last.at + #last.text - 1
            parts[at] = parts[at] .. " = nil;"
          end
        end
      end
    end
  end
  return table.concat(parts), names
end

local function incomplete(err)
  return err.message:find "<eof>'?$" ~= nil and not err.message:find "^unfinished string" -- those end with their line
end

-- An expression as a function whose errors are at its own place: `return f()` would be a tail call, of which Lua keeps
-- no line. nil for a text that is no expression alone, "1;".
local function in_place(text, env)
  local fn = host.load_chunk("return (...)(" .. text .. "\n)", "=repl", env)
  return fn and function()
    local results = fn(table.pack)
    return table.unpack(results, 1, results.n)
  end
end

-- M.compile(text, env) -> function, "expression" | "statement"; nil, nil: nothing in it; nil, "incomplete"; nil, error.
function M.compile(text, env)
  text = text:gsub("^%s*=", "")
  if not text:find "%S" then return nil end
  if text:find "^%s*%-%-" and #lexer.tokens(text) == 1 and host.load_chunk(text, "=repl", env) then return nil end
  local fn, as_expression = host.load_chunk("return " .. text, "=repl", env)
  if fn then return in_place(text, env) or fn, "expression" end
  local as_statement
  fn, as_statement = host.load_chunk(text, "=repl", env)
  if not fn then
    if incomplete(as_statement) or incomplete(as_expression) then return nil, "incomplete" end
    return nil, as_statement
  end
  fn = host.load_chunk(M.lift(text), "=repl", env) or fn
  return fn, "statement"
end

return M
