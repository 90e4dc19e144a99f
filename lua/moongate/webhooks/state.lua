-- state.lua - what is remembered of webhooks from one delivery to the next: which are disabled, what was not delivered.
-- This form lives in memory, as long as the run. One that outlives it has the same four functions, and its keep says
-- true: the message will be tried again.

local M = {}

local SHOWN = 100 -- undelivered messages that are kept for the result; beyond it they are only counted

local Memory = {}
Memory.__index = Memory

-- A webhook that got a new URL is another one.
local function key_of(hook)
  return hook.name .. " " .. hook.url
end

-- Why no more messages go to the webhook {name, url}, or nil when they do.
function Memory:disabled(hook)
  return self._disabled[key_of(hook)]
end

function Memory:disable(hook, reason)
  self._disabled[key_of(hook)] = reason
end

-- message: {webhook =, url =, event =, id =, body =, error =}. -> whether it is kept to be tried again.
function Memory:keep(message)
  self._total = self._total + 1
  if self._total <= SHOWN then
    self._first[self._total] = {
      webhook = message.webhook, event = message.event, id = message.id, error = message.error,
    }
  end
  return false
end

-- -> how many messages were not delivered, the first of them as {webhook, event, id, error}
function Memory:undelivered()
  return self._total, self._first
end

function M.memory()
  return setmetatable({ _disabled = {}, _total = 0, _first = {} }, Memory)
end

return M
