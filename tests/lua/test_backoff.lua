-- The one wait between two tries.
local backoff = require "moongate.backoff"
local t = require "moongate.test"

local function always(value) return { random = function() return value end } end

t.test("it doubles up to the cap, within the range that chance picks from", function()
  local policy = { base = 0.5, cap = 5, low = 0.5, high = 1 }
  for n, top in ipairs { 0.5, 1, 2, 4, 5, 5 } do
    t.eq(backoff.wait(policy, n, always(0)), top * 0.5)
    t.eq(backoff.wait(policy, n, always(1)), top * 1.0)
  end
  t.eq(backoff.wait(policy, 100000, always(1)), 5.0, "no overflow")
  for _ = 1, 50 do
    local wait = backoff.wait(policy, 3)
    t.ok(wait >= 1 and wait <= 2, wait)
  end
end)

t.test("what the other side asks for is the least, and a deadline ends it", function()
  local policy = { base = 1, cap = 8, low = 1, high = 1, floor_max = 60 }
  t.eq(backoff.wait(policy, 1, { floor = "7" }), 7)
  t.eq(backoff.wait(policy, 4, { floor = 7 }), 8.0)
  t.eq(backoff.wait(policy, 1, { floor = 1e9 }), 60, "nobody makes us wait for years")
  t.eq(backoff.wait(policy, 1, { floor = "soon" }), 1.0)
  t.eq(backoff.wait(policy, 3, { left = 4 }), nil)
  t.eq(backoff.wait(policy, 3, { left = 4.5 }), 4.0)
  t.eq(backoff.wait(policy, 1, { floor = 5, left = 5 }), nil)
end)
