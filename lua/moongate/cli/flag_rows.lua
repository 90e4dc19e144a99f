-- flag_rows.lua - flags as help, its topics and the manual page show them.

local M = {}

-- "-v, --verbose", "--region REGION", "--[no-]live"
function M.name(flag)
  local name = (flag.letter and "-" .. flag.letter .. ", " or "") .. "--" .. flag[1]
  if flag.type == "boolean" then return name end
  return name .. " " .. (flag.value or flag[1]:gsub("^.*-", ""):upper())
end

-- The summary, then choices, default and the like in parentheses. The variable of a global flag follows from its name.
function M.summary(flag)
  local more = {}
  if flag.choices then more[#more + 1] = "one of " .. table.concat(flag.choices, ", ") end
  if flag.required then more[#more + 1] = "required" end
  if flag.repeated then more[#more + 1] = "repeatable" end
  if flag.default ~= nil and flag.default ~= false then more[#more + 1] = "default " .. tostring(flag.default) end
  if flag.env and flag.env ~= "MOONGATE_" .. flag[1]:upper():gsub("-", "_") then more[#more + 1] = "or " .. flag.env end
  return (flag[2] or "") .. (#more > 0 and " (" .. table.concat(more, "; ") .. ")" or "")
end

function M.of(list)
  local rows = {}
  for _, flag in ipairs(list or {}) do rows[#rows + 1] = { M.name(flag), M.summary(flag) } end
  return rows
end

-- A text that lies beside what it explains.
function M.more(spec)
  return require(spec.more[1])[spec.more[2]]
end

return M
