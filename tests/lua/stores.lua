-- stores.lua - for tests of what lives in the store: runs them on the form that MOONGATE_TEST_STATE names, see
-- tests/e2e/postgres.t; without it in SQLite, in memory.

local host = require "moongate.host"
local store = require "moongate.store"

local M = {}

-- stores.each(function(kind, open)): open() -> a store; a test clears the tables that it uses.
function M.each(fn)
  local url = host.getenv "MOONGATE_TEST_STATE" or "sqlite::memory:"
  fn(url:match "^%a+", function() return assert(store.open(url)) end)
end

return M
