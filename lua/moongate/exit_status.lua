-- exit_status.lua - from an error object to the program's exit status: a stable contract, see commands.lua for the
-- list.
local M = {
  DONE = 0, FAILED = 1, USAGE = 2, INPUT = 3, AUTH = 4, CONFLICT = 5, UNAVAILABLE = 6, DENIED = 7, VERIFY = 8,
  QUEUED = 9, BUG = 70, INTERRUPTED = 130,
}

local BY_CODE = {
  usage = M.USAGE,
  invalid = M.INPUT, parse = M.INPUT, range = M.INPUT, not_found = M.INPUT, too_large = M.INPUT, input = M.INPUT,
  unauthorized = M.AUTH,
  conflict = M.CONFLICT, run_cancelled = M.CONFLICT,
  connect = M.UNAVAILABLE, network = M.UNAVAILABLE, tls = M.UNAVAILABLE, timeout = M.UNAVAILABLE,
  breaker_open = M.UNAVAILABLE, retry_budget = M.UNAVAILABLE, unknown_outcome = M.UNAVAILABLE, protocol = M.UNAVAILABLE,
  denied = M.DENIED,
  verify = M.VERIFY, corrupt = M.VERIFY, journal_mismatch = M.VERIFY,
  queued = M.QUEUED,
  interrupted = M.INTERRUPTED,
  bug = M.BUG,
}

-- An answer's status says more than the code "http".
local BY_STATUS = {
  [400] = M.INPUT, [413] = M.INPUT, [415] = M.INPUT, [422] = M.INPUT,
  [401] = M.AUTH, [403] = M.AUTH,
  [409] = M.CONFLICT, [412] = M.CONFLICT,
  [408] = M.UNAVAILABLE, [429] = M.UNAVAILABLE,
}

-- err: an error object, or anything else that was raised.
function M.of(err)
  if type(err) ~= "table" then return M.FAILED end
  if math.type(err.exit_status) == "integer" then return err.exit_status end
  local known = BY_CODE[err.code]
  if known and err.code ~= "not_found" then return known end
  local status = tonumber(err.status)
  if status then
    return BY_STATUS[status] or (status >= 500 and M.UNAVAILABLE) or M.FAILED
  end
  return known or M.FAILED
end

return M
