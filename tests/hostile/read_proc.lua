-- What the kernel shows of this process and others.
-- flags: --allow-read=/
-- status: 7
-- says: kernel
local fs = require "moongate.fs"
local _, outside = ...

local function try(what, value, err)
  if value then print("LEAK " .. what .. ": " .. tostring(value)) end
  print(what .. ": " .. tostring(err and err.code))
  last = err
end

for _, path in ipairs { "/proc/self/environ", "/proc/self/cmdline", "/proc/self/mem", "/proc/1/environ", "/sys/kernel/uevent_seqnum",
  "/proc/self/fd/0", "/dev/fd/0" } do
  try(path, fs.read(path))
end
error(select(2, fs.read "/proc/self/environ"), 0)
