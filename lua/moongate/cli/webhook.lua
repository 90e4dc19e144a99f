-- webhook.lua - `moongate webhook send`, `verify` and `listen`: the workflows' sender, and the other side of it.
local exit_status = require "moongate.exit_status"
local fail = require "moongate.fail"
local host = require "moongate.host"
local json = require "moongate.json"
local safe = require "moongate.safe_json"
local log = require "moongate.log"
local plain = require "moongate.plain"
local plain_text = require "moongate.plain_text"
local secret = require "moongate.secret"
local webhooks = require "moongate.webhooks"

local M = {}

-- ---- what the subcommands share ----

-- The secrets of --secret-env and --secret-file: a list of handles, or nil when none is given.
local function secrets_of(args)
  local list = {}
  for _, name in ipairs(args.secret_env) do
    local key, err = secret.env(name)
    if not key then error(err, 0) end
    list[#list + 1] = key
  end
  for _, path in ipairs(args.secret_file) do
    local key, err = secret.file(path)
    if not key then error(err, 0) end
    list[#list + 1] = key
  end
  return #list > 0 and list or nil
end

-- 'NAME: VALUE' texts -> table, or every fault as a usage error.
local function headers_of(list, help)
  local headers, faults = {}, {}
  for _, text in ipairs(list) do
    local name, value = text:match "^([%w!#$%%&'*+.^_`|~-]+):%s*(.-)%s*$"
    if name then headers[name] = value end
    if not name then faults[#faults + 1] = ("--header needs 'NAME: VALUE', not '%s'"):format(text) end
  end
  if #faults > 0 then fail.usage_faults(help, faults) end
  return headers
end

-- A sender's words can't move the cursor or forge a line, and are valid UTF-8.
local function visible(text)
  return host.visible(tostring(text), true)
end

-- ---- send ----

-- --data: JSON, or @FILE with it.
local function data_of(text)
  local path = text:match "^@(.+)$"
  if path then
    local err
    text, err = plain_text.text(path)
    if not text then error(err, 0) end
  end
  local value, err = json.decode(text)
  if value == nil then
    err.message = ("%s: %s"):format(path or "--data", err.message)
    error(err, 0)
  end
  return value
end

-- --profile is a global flag, and another thing: silence would sign otherwise than was wanted.
local function check_profile(ctx)
  if ctx.opts.profile and require("moongate.webhooks.profile").known(ctx.opts.profile) then
    fail.usage("--profile is a section of ~/.gc/config.toml; a webhook's is --webhook-profile %s", ctx.opts.profile)
  end
end

local function check_headers(headers)
  local profile, faults = require "moongate.webhooks.profile", {}
  for name in pairs(headers) do
    if profile.sets(name) then faults[#faults + 1] = ("--header %s: the profile sets this one"):format(name) end
  end
  if #faults > 0 then fail.usage_faults("help webhook send", faults) end
end

-- What would be sent, for --dry-run.
local function show(ctx, options)
  local profile = require "moongate.webhooks.profile"
  local message, err = webhooks.message(options)
  if not message then error(err, 0) end
  local seconds = math.tointeger(require("moongate.time").now() // 1)
  local headers
  headers, err = profile.headers(message.profile, message.secret, message.id, seconds, message.body)
  if not headers then error(err, 0) end
  headers["Content-Type"] = "application/json"
  local names, lines = {}, { "POST " .. message.url }
  for name, value in pairs(message.headers) do headers[name] = value end
  for name in pairs(headers) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do lines[#lines + 1] = ("%s: %s"):format(name, headers[name]) end
  lines[#lines + 1] = ""
  lines[#lines + 1] = message.body
  ctx:result({ planned = true, url = message.url, id = message.id, headers = headers, body = message.body },
    table.concat(lines, "\n"))
end

function M.send(ctx, args)
  check_profile(ctx)
  local headers = headers_of(args.header, "help webhook send")
  check_headers(headers)
  local key, data = secrets_of(args), data_of(args.data)
  local options = {
    url = args.url, event = args.event, data = data, secret = key, profile = args.webhook_profile, id = args.id,
    headers = headers,
  }
  if ctx.opts.dry_run then return show(ctx, options) end
  local env = {
    audit = require "moongate.audit", log = { warn = function() end, error = log.error }, id = args.id,
    state = require("moongate.webhooks.state").memory(), deadline = ctx.opts.deadline,
  }
  local note, err = require("moongate.webhooks.notify").one(env, {
    name = "(command line)", url = args.url, secret = key, profile = args.webhook_profile, headers = headers,
  }, args.event, data)
  if err then
    if err.code ~= "invalid" then -- such a one will never arrive as it is
      err.hint = (err.hint and err.hint .. " " or "") .. "To send it again as the same message: --id " .. note.id
    end
    error(err, 0)
  end
  ctx:result({ id = note.id, status = note.status, attempts = note.attempts, event = args.event, signed = key ~= nil,
    audit_error = note.audit_error },
    ("delivered: %s, status %d, %d attempt%s, %s"):format(note.id, note.status, note.attempts,
      note.attempts == 1 and "" or "s", key and "signed" or "not signed"))
  return note.audit_error and exit_status.FAILED or nil
end

-- ---- verify ----

local function need_secret(key, what)
  if not key then fail.usage("%s needs --secret-env NAME or --secret-file FILE", what) end
end

function M.verify(ctx, args)
  local headers = headers_of(args.header, "help webhook verify")
  local key = secrets_of(args)
  need_secret(key, "webhook verify")
  local body, err = plain_text.read(args.file or "-") -- byte for byte
  if not body then error(err, 0) end
  local ok
  ok, err = webhooks.verify { secret = key, headers = headers, body = body, tolerance = args.tolerance }
  if not ok then error(err, 0) end
  local name, id = require("moongate.webhooks.profile").read(headers)
  ctx:result({ verified = true, profile = name, id = id, bytes = #body },
    ("verified: %s (%s), %d bytes"):format(visible(id), name, #body))
end

-- ---- listen ----

local Listener = {}
Listener.__index = Listener

local LARGE = 65536 -- bytes

-- Whether a request announces a body that is read only when a signature comes with it.
local function is_large(req)
  return req.headers["transfer-encoding"] ~= nil or (tonumber(req.headers["content-length"]) or 0) > LARGE
end

-- A request -> what is told of it. req.body may be missing: it was not read.
function Listener:read(req)
  local profile = require "moongate.webhooks.profile"
  local style, id, _, signature = profile.read(req.headers)
  local body = req.body and req:json() or nil
  local event = type(body) == "table" and type(body.type) == "string" and body.type or nil
  local delivery = {
    at = require("moongate.time").iso(), path = safe.text(req.path), profile = style,
    id = id ~= "" and safe.text(id) or nil, signed = signature ~= "", bytes = #(req.body or ""), event = event,
    body = safe.value(body),
  }
  if self.key and not req.body then
    delivery.verified, delivery.reason = false, "webhook: it has no signature; its body was not read"
  elseif self.key then
    local ok, err = webhooks.verify { secret = self.key, headers = req.headers, body = req.body }
    delivery.verified, delivery.reason = ok == true, err and err.message or nil
  end
  delivery.repeated = id ~= "" and self.ids[id] or nil
  if delivery.verified ~= false and id ~= "" then self.ids[id] = true end
  return delivery
end

local function verdict(d)
  if d.verified then return "verified" end
  if d.verified == false then return "NOT VERIFIED: " .. d.reason:gsub("^webhook: ", "") end
  return d.signed and "signed, not checked" or "not signed"
end

local function line(d)
  local special = d.profile and d.profile ~= "standard" and (" (%s)"):format(d.profile) or ""
  local parts = {
    d.at, visible(d.event or "-"), visible(d.id or "-"), verdict(d) .. special,
    ("%d bytes"):format(d.bytes), ("answered %d"):format(d.answered),
  }
  if d.repeated then parts[#parts + 1] = "repeated" end
  return table.concat(parts, "  ")
end

-- What is refused by its head alone -> response | nil
function Listener:accept(req)
  if req.method ~= "POST" then return { status = 405, headers = { Allow = "POST" } } end
  if not self.key or not is_large(req) then return nil end
  local _, _, _, signature = require("moongate.webhooks.profile").read(req.headers)
  if signature == "" then return self:handle(req) end
end

function Listener:handle(req)
  local delivery = self:read(req)
  delivery.answered = delivery.verified == false and 401 or self.status
  self.received, self.bad = self.received + 1, self.bad or delivery.verified == false
  if self.json then
    self.list[#self.list + 1] = delivery
  else
    host.write(line(delivery) .. "\n" .. (self.show_body and req.body and visible(req.body) .. "\n" or ""))
  end
  if self.received == self.count then self.enough:release() end
  return { status = delivery.answered }
end

-- The list of what came, once: at the end, or when Ctrl-C is the end.
function Listener:finish()
  if not self.json or self.told then return end
  self.told = true
  host.write(plain.write { deliveries = json.array(self.list) } .. "\n")
end
Listener.__close = Listener.finish

function M.listen(ctx, args)
  local task = require "moongate.task"
  local listener <close> = setmetatable({
    key = secrets_of(args), count = args.count, status = args.status, show_body = args.body, json = ctx.json, list = {},
    ids = {}, received = 0, bad = false, enough = task.semaphore(1),
  }, Listener)
  listener.enough:acquire()
  local server, err = require("moongate.httpd").serve {
    host = args.host, port = args.port, max_body = args.max_body, max_bodies = args.max_bodies,
    accept = function(req) return listener:accept(req) end, handler = function(req) return listener:handle(req) end,
  }
  if not server then error(err, 0) end
  host.may_interrupt()
  host.write_err(("listening on %s for %s (Ctrl-C ends it)%s\n"):format(server.url,
    args.count and ("%d webhook%s"):format(args.count, args.count == 1 and "" or "s") or "webhooks",
    listener.key and "" or "; no secret is given, so nothing is verified"))
  listener.enough:acquire()
  server:stop()
  ctx:result({ deliveries = json.array(listener.list) }, "")
  listener.told = true
  if listener.bad then return exit_status.VERIFY end
end

return M
