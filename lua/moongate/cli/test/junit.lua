-- junit.lua - results as JUnit's XML has them, which CI servers read.
local time = require "moongate.time"

local M = {}

local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["\n"] = "&#10;" }

-- XML has no place for most control characters, and wants UTF-8.
local function escape(s)
  s = s:gsub("[%z\1-\8\11\12\14-\31\127]", "?")
  if not utf8.len(s) then s = s:gsub("[\128-\255]", "?") end
  return (s:gsub('[&<>"\n]', ENTITIES))
end

local function body(s) return (escape(s):gsub("&#10;", "\n")) end

local function class_of(file) return (file:gsub("%.lua$", ""):gsub("/", ".")) end

local function add_case(out, file, t)
  out[#out + 1] = ('    <testcase classname="%s" name="%s" file="%s" time="%.3f"'):format(escape(class_of(file.name)),
    escape(t.name), escape(file.name), t.seconds)
  if t.status == "passed" then
    out[#out] = out[#out] .. "/>"
    return
  end
  out[#out] = out[#out] .. ">"
  if t.status == "skipped" then
    out[#out + 1] = ('      <skipped message="%s"/>'):format(escape(t.why or ""))
  else
    local f = t.failure
    local lines = { (f.where and f.where .. ": " or "") .. f.message }
    table.move(f.lines or {}, 1, #(f.lines or {}), 2, lines)
    if f.traceback then lines[#lines + 1] = f.traceback end
    out[#out + 1] = ('      <failure message="%s">%s</failure>'):format(escape(f.message),
      body(table.concat(lines, "\n")))
  end
  out[#out + 1] = "    </testcase>"
end

-- M.document(files, summary) -> text. files: as cli/test.lua has them.
function M.document(files, summary)
  local out = { '<?xml version="1.0" encoding="UTF-8"?>' }
  out[2] = ('<testsuites name="moongate test" tests="%d" failures="%d" skipped="%d" time="%.3f">'):format(summary.total,
    summary.failed, summary.skipped, summary.seconds)
  for _, file in ipairs(files) do
    local n = { passed = 0, failed = 0, skipped = 0 }
    for _, t in ipairs(file.tests) do n[t.status] = n[t.status] + 1 end
    out[#out + 1] = ('  <testsuite name="%s" tests="%d" failures="%d" errors="0" skipped="%d" time="%.3f"'):format(
      escape(file.name), #file.tests, n.failed, n.skipped, file.seconds)
      .. (' timestamp="%s">'):format(time.iso(file.began):sub(1, 19))
    for _, t in ipairs(file.tests) do add_case(out, file, t) end
    if file.output ~= "" then
      out[#out + 1] = "    <system-out>" .. body(file.output) .. "</system-out>"
    end
    out[#out + 1] = "  </testsuite>"
  end
  out[#out + 1] = "</testsuites>\n"
  return table.concat(out, "\n")
end

return M
