-- rng: the simulator's randomness, splitmix64. The same seed and stream give the same draws; never the system's,
-- never for secrets.
local M = {}
M.__index = M

-- stream: a name, so that one user's draws do not move another's.
function M.new(seed, stream)
  local state = seed
  for i = 1, #stream do state = (state ~ stream:byte(i)) * 0x100000001B3 + 0x9E3779B9 end
  return setmetatable({ state = state }, M)
end

function M:u64()
  self.state = self.state + 0x9E3779B97F4A7C15
  local z = self.state
  z = (z ~ (z >> 30)) * 0xBF58476D1CE4E5B9
  z = (z ~ (z >> 27)) * 0x94D049BB133111EB
  return z ~ (z >> 31)
end

-- In [0, 1).
function M:double()
  return (self:u64() >> 11) * 0x1p-53
end

-- n * 16 hexadecimal digits.
function M:hex(n)
  local t = {}
  for i = 1, n do t[i] = ("%016x"):format(self:u64()) end
  return table.concat(t)
end

-- A UUID of version 4's form.
function M:uuid()
  local a, b = self:u64(), self:u64()
  return ("%08x-%04x-4%03x-%04x-%012x"):format(a >> 32, (a >> 16) & 0xFFFF, a & 0xFFF, 0x8000 | ((b >> 48) & 0x3FFF),
    b & 0xFFFFFFFFFFFF)
end

return M
