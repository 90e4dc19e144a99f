-- expect.lua - expect(value):to_equal(other) and the like. Every check has a negation, expect(value):not_to_equal(…),
-- and gives back what was checked.
local errors = require "moongate.error"
local show = require "moongate.test.show"
local suggest = require "moongate.suggest"

local M = {}

-- "file:line" of the caller, so many calls up; trusted code has no debug library, but error() knows.
local function where(level)
  local _, place = pcall(error, "", level + 2)
  return place:match "^(.-:%d+): $"
end
M.where = where

-- M.fail(message, lines, level): ends the test. level: as for error().
function M.fail(message, lines, level)
  errors.raise {
    code = "script", message = message, where = where((level or 1) + 1), diff = lines, assertion = true,
  }
end

-- A check: function(subject, …) -> whether it holds, what is wrong ("expected X to …"), what is wrong when it must not
-- hold, lines of a diff.
local checks = {}

function checks.to_equal(s, expected)
  local lines = show.diff(s.value, expected)
  local message = "the values differ"
  if #lines == 1 and lines[1]:find "^~ [^%s].*, expected " and type(s.value) ~= "table" then
    message, lines = "got " .. lines[1]:sub(3), nil
  end
  return show.same(s.value, expected), message, "both are " .. show.brief(expected), lines
end

function checks.to_be(s, expected)
  local equal = rawequal(s.value, expected)
  local message = ("got %s, expected %s"):format(show.brief(s.value), show.brief(expected))
  if show.same(s.value, expected) then message = message .. ", the very same table (to_equal compares by content)" end
  return equal, message, ("it is %s"):format(show.brief(expected))
end

function checks.to_be_truthy(s)
  return s.value ~= nil and s.value ~= false, ("got %s, expected a true value"):format(show.brief(s.value)),
    ("got %s, expected nil or false"):format(show.brief(s.value))
end

function checks.to_be_nil(s)
  return s.value == nil, ("got %s, expected nil"):format(show.brief(s.value)), "got nil"
end

function checks.to_be_a(s, kind)
  local is = type(s.value)
  if kind == "integer" or kind == "float" then is = math.type(s.value) or is end
  return is == kind, ("got %s, a %s, expected a %s"):format(show.brief(s.value), is, kind), "it is a " .. kind
end

local function number(s, name, bound)
  if type(s.value) ~= "number" or type(bound) ~= "number" then
    M.fail(("%s compares numbers, got %s and %s"):format(name, show.brief(s.value), show.brief(bound)), nil, 4)
  end
end

function checks.to_be_above(s, bound)
  number(s, "to_be_above", bound)
  return s.value > bound, ("got %s, expected more than %s"):format(s.value, bound),
    ("got %s, expected at most %s"):format(s.value, bound)
end

function checks.to_be_below(s, bound)
  number(s, "to_be_below", bound)
  return s.value < bound, ("got %s, expected less than %s"):format(s.value, bound),
    ("got %s, expected at least %s"):format(s.value, bound)
end

function checks.to_be_near(s, bound, tolerance)
  number(s, "to_be_near", bound)
  tolerance = tolerance or 1e-9
  return math.abs(s.value - bound) <= tolerance,
    ("got %s, expected %s, give or take %s"):format(s.value, bound, tolerance),
    ("got %s, which is within %s of %s"):format(s.value, tolerance, bound)
end

-- A text: a Lua pattern. A table: whether all that it names is there, and so.
function checks.to_match(s, expected)
  if type(expected) == "table" then
    local lines = show.partial_diff(s.value, expected)
    return #lines == 0, "it does not match", "it matches " .. show.brief(expected), lines
  end
  local text = tostring(s.value)
  return text:find(expected) ~= nil, ("got %s, expected the pattern %q"):format(show.brief(text), expected),
    ("got %s, which matches %q"):format(show.brief(text), expected)
end

-- A text in a text, an item of a list, or a value of a table.
function checks.to_contain(s, item)
  local value, found = s.value, false
  if type(value) == "string" then
    found = value:find(tostring(item), 1, true) ~= nil
  elseif type(value) == "table" then
    for _, v in next, value do found = found or show.same(v, item) end
  else
    M.fail(("to_contain looks into a text or a table, got %s"):format(show.brief(value)), nil, 3)
  end
  local lines = type(value) == "string" and value:find "\n" and { value } or nil
  local what = lines and "the text" or show.brief(value)
  return found, ("%s does not contain %s"):format(what, show.brief(item)),
    ("%s contains %s"):format(what, show.brief(item)), lines
end

function checks.to_have_length(s, n)
  local length, shown = #s.value, show.brief(s.value)
  if #shown > 80 then shown = "it" end
  return length == n, ("%s has the length %d, expected %d"):format(shown, length, n), "its length is " .. n
end

-- The failure in what was given: a function is called; nil and an error object; an outcome with a field `error`; an
-- error object.
local function failure_of(s)
  if type(s.value) == "function" then
    local results = table.pack(pcall(s.value))
    if not results[1] then return results[2] end
    if results[2] == nil and errors.is(results[3]) then return results[3] end
    return nil, "nothing was raised"
  end
  if s.value == nil and errors.is(s.second) then return s.second end
  if errors.is(s.value) then return s.value end
  if type(s.value) == "table" and errors.is(s.value.error) then return s.value.error end
  return nil, "got " .. show.brief(s.value)
end

-- A code ("conflict") and a pattern of its message, or either; neither: any failure.
function checks.to_fail_with(s, code, pattern)
  local err, got = failure_of(s)
  s.result = err
  local wanted = (code and "a failure with the code " .. code or "a failure")
    .. (pattern and (" that matches %q"):format(pattern) or "")
  if err == nil then return false, ("%s, expected %s"):format(got, wanted), wanted end
  local found = errors.is(err) and err.code or "script"
  local fits = (not code or found == code) and (not pattern or tostring(err):find(pattern) ~= nil)
  return fits, ("failed with %s: %s; expected %s"):format(found, tostring(err), wanted),
    ("failed with %s: %s"):format(found, tostring(err))
end

-- What only the run of tests can decide, such as snapshots: M.add("to_match_snapshot", function(subject, …) …).
function M.add(name, check) checks[name] = check end

local function names()
  local list = {}
  for name in next, checks do
    list[#list + 1] = name
    list[#list + 1] = "not_" .. name
  end
  table.sort(list)
  return list
end

local function method(name)
  local negated = name:match "^not_(to_.+)$"
  local check = checks[negated or name]
  if not check then return nil end
  return function(subject, ...)
    local s = rawget(subject, "_")
    local holds, message, negative, lines = check(s, ...)
    if (not holds) ~= (negated ~= nil) then M.fail(negated and negative or message, not negated and lines or nil, 2) end
    if s.result ~= nil then return s.result end
    return s.value
  end
end

local Subject = {
  __index = function(_, name)
    local fn = type(name) == "string" and method(name)
    if not fn then
      error(("expect(…):%s: unknown check%s"):format(tostring(name),
        suggest.hint(tostring(name), names())), 2)
    end
    return fn
  end,
}

-- expect(value [, second]) -> subject. Two values: what a function gave back, nil and its error.
function M.expect(value, second)
  return setmetatable({ _ = { value = value, second = second } }, Subject)
end

return M
