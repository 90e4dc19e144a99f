-- queue.lua - `moongate queue`: what waits in the store, of every kind: webhook messages, prompts, writes. A kind has
-- its own module in queue/; here is which of them is asked.
local fail = require "moongate.fail"
local merged = require "moongate.merged"
local queues = require "moongate.queue"

local M = {}

local KINDS = { "message", "prompt", "write" }

local function kind(name) return require("moongate.cli.queue." .. name) end

-- What words name: a number is a write, the name of a queue of prompts is that, anything else is a message's id.
local function kind_of(args, words, default)
  if args.kind then return args.kind end
  local found = nil
  for _, word in ipairs(words) do
    local this = word:find "^%d+$" and "write" or "message"
    if this == "message" and queues.exists(assert(require("moongate.store").session()), word) then this = "prompt" end
    if found and found ~= this then fail.usage("name one kind at a time: '%s' is not a %s", word, found) end
    found = this
  end
  return found or default
end

-- The one name that commands for a queue of prompts take.
local function only(words, command)
  if #words ~= 1 then fail.usage("queue %s --kind prompt needs the name of one queue", command) end
  return words[1]
end

function M.list(ctx, args)
  local data, lines = {}, {}
  for _, name in ipairs(args.kind and { args.kind } or KINDS) do
    local more, text = kind(name).listed(ctx, args)
    data = merged(data, more)
    table.move(text, 1, #text, #lines + 1, lines)
  end
  ctx:result(data, #lines > 0 and table.concat(lines, "\n") or "nothing is queued")
end

function M.show(ctx, args)
  local name = kind_of(args, { args.id }, "message")
  if name == "prompt" then return kind "prompt".status(ctx, { name = args.id }) end
  return kind(name).show(ctx, args)
end

function M.retry(ctx, args)
  local name = kind_of(args, args.id, "message")
  if name == "write" then fail.usage "a write waits until it is sent: moongate queue flush" end
  if name == "prompt" then return kind "prompt".retry(ctx, { name = only(args.id, "retry"), failed = args.failed }) end
  return kind "message".retry(ctx, args)
end

function M.drop(ctx, args)
  local of_prompts = args.finished or args.dead or args.all
  local name = of_prompts and not args.kind and "prompt" or kind_of(args, args.id, "message")
  if of_prompts and name ~= "prompt" then fail.usage "--finished, --dead and --all are for queues of prompts" end
  if name == "prompt" then return kind "prompt".drop(ctx, merged(args, { name = only(args.id, "drop") })) end
  return kind(name).drop(ctx, args)
end

function M.flush(ctx, args)
  local name = args.kind or args.watch and "message" or "write"
  if name == "message" and (#args.id > 0 or args.on_conflict) then
    fail.usage "queue flush --kind message takes no numbers and no --on-conflict"
  end
  return kind(name).flush(ctx, args)
end

function M.work(ctx, args) return kind "prompt".run(ctx, args) end
function M.results(ctx, args) return kind "prompt".results(ctx, args) end
function M.set(ctx, args) return kind "prompt".set(ctx, args) end

return M
