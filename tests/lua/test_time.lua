-- virtual clock. Time and log.
local t = require "moongate.test"
local time = require "moongate.time"
local task = require "moongate.task"
local log = require "moongate.log"

t.test("clocks go together", function()
  local wall, mono = time.now(), time.monotonic()
  task.sleep(86400)
  t.ok(math.abs(time.now() - wall - 86400) < 1)
  t.ok(math.abs(time.monotonic() - mono - 86400) < 1)
end)

t.test("iso and parse", function()
  t.eq(time.iso(0), "1970-01-01T00:00:00.000Z")
  t.eq(time.iso(1700000000.123), "2023-11-14T22:13:20.123Z")
  t.eq(time.iso(time.parse "2026-11-20T07:31:37.042Z"), "2026-11-20T07:31:37.042Z")
  t.eq(time.parse "1970-01-01T01:00:00+01:00", 0.0)
  t.eq(time.parse "1969-12-31T23:00:00-01:00", 0.0)
  t.eq(time.parse "2000-02-29T00:00:00Z", 951782400.0)
  t.eq(time.parse "2024-03-01t00:00:00.5z", 1709251200.5)
  t.eq(time.parse "2016-12-31T23:59:60Z", time.parse "2017-01-01T00:00:00Z")
  for _, bad in ipairs { "", "2026", "2026-13-01T00:00:00Z", "2025-02-29T00:00:00Z", "1900-02-29T00:00:00Z",
    "2026-01-00T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-01-01T00:00:00",
    "2026-01-01T00:00:00.Z",
    "2026-01-01T00:00:00+1:00", "2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00Zx", " 2026-01-01T00:00:00Z" } do
    t.fails("parse", time.parse(bad))
  end
  t.ok(#time.iso() == 24)
  t.raises(function() time.iso(-1) end, "seconds since 1970")
end)

t.test("http_date", function()
  t.eq(time.http_date(784111777), "Sun, 06 Nov 1994 08:49:37 GMT")
end)

t.test("log levels", function()
  local before = log.level "error"
  t.eq(log.level(), "error")
  log.info("%d", {}) -- not wanted, so not formatted
  t.raises(function() log.error("%d", {}) end, "number expected")
  t.raises(function() log.level "loud" end, "error, warn, info, debug or trace")
  log.level(before)
end)
