-- plain_text.lua - texts as people's editors and shells leave them: with a byte order mark, with CR LF, in UTF-16, in a
-- pipe. For the modules that read files which people write.

local errors = require "moongate.error"
local fs = require "moongate.fs"
local host = require "moongate.host"

local M = {}

-- M.foreign(bytes) -> the encoding that they are in instead of UTF-8, or nil.
function M.foreign(bytes)
  local a, b, c, d = bytes:byte(1, 4)
  if not b then return nil end
  if a == 0xFF and b == 0xFE then return c == 0 and d == 0 and "UTF-32" or "UTF-16" end
  if a == 0xFE and b == 0xFF then return "UTF-16" end
  if a == 0 and b == 0 and c == 0xFE and d == 0xFF then return "UTF-32" end
  if (a == 0) ~= (b == 0) then return "UTF-16" end
end

-- M.normal(bytes) -> text without its byte order mark; or nil and what is wrong with it.
function M.normal(bytes)
  local foreign = M.foreign(bytes)
  if foreign then return nil, ("is in %s: save it as UTF-8"):format(foreign) end
  return (bytes:gsub("^\u{FEFF}", ""))
end

-- M.lines(text) -> the text with "\n" as the end of each line, whatever system it was written on.
function M.lines(text)
  if not text:find("\r", 1, true) then return text end
  return (text:gsub("\r\n?", "\n"))
end

local standard_input -- it can be read once only; several arguments may name it

-- M.read(path, max_bytes | nil) -> bytes | nil, err. "-": standard input.
function M.read(path, max)
  if path ~= "-" then return fs.read(path, max) end
  if not standard_input then
    local text, err = host.read_stdin()
    if not text then return nil, err end
    standard_input = text
  end
  if max and #standard_input > max then
    return nil, errors.new { code = "too_large", message = ("standard input has more than %d bytes"):format(max) }
  end
  return standard_input
end

-- M.text(path, max_bytes | nil) -> text | nil, err: read, and normal.
function M.text(path, max)
  local bytes, err = M.read(path, max)
  if not bytes then return nil, err end
  local text, why = M.normal(bytes)
  if text then return text end
  return nil, errors.new { code = "invalid", message = ("%s %s"):format(path, why) }
end

return M
