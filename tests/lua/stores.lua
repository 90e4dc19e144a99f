-- stores.lua - for tests of what lives in the store: runs them on every form of it that there is.

local host = require "moongate.host"
local store = require "moongate.store"

local M = {}

-- stores.each(function(kind, open)): kind "sqlite", and "postgres" where MOONGATE_TEST_POSTGRES names one. open()
-- -> a store of the test's own in SQLite, the shared one in PostgreSQL: a test clears the tables that it uses.
function M.each(fn)
  fn("sqlite", function() return assert(store.open "sqlite::memory:") end)
  local url = host.getenv "MOONGATE_TEST_POSTGRES"
  if url and url ~= "" then fn("postgres", function() return assert(store.open(url)) end) end
end

return M
