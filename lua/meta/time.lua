---@meta moongate.time

---Clocks. In tests with a virtual clock, time passes only when every task waits.
---@class moongate.time
local time = {}

---@return number seconds since 1970-01-01T00:00:00Z
function time.now() end

---For measuring: never goes back.
---@return number seconds from an arbitrary start
function time.monotonic() end

---A time as RFC 3339 has it, in UTC with milliseconds: `"2026-11-20T07:31:37.042Z"`.
---@param seconds? number since 1970 (default: now)
---@return string
function time.iso(seconds) end

---Reads an RFC 3339 date and time with any offset.
---
---Errors: `parse`.
---@param text string
---@return number? seconds since 1970
---@return moongate.error? err
function time.parse(text) end

---A time as HTTP has it: `"Sun, 06 Nov 1994 08:49:37 GMT"`.
---@param seconds? number since 1970 (default: now)
---@return string
function time.http_date(seconds) end

return time
