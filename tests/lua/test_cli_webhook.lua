-- `moongate webhook` from inside: what its flags mean and how it fails. Whole runs of it: tests/e2e/webhook_cli.t.
local commands = require "moongate.cli.commands"
local exit_status = require "moongate.exit_status"
local flags = require "moongate.flags"
local fs = require "moongate.fs"
local host = require "moongate.host"
local httpd = require "moongate.httpd"
local json = require "moongate.json"
local t = require "moongate.test"
local webhook = require "moongate.cli.webhook"
local webhooks = require "moongate.webhooks"

local KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
local FOLDER = host.getenv "XDG_STATE_HOME" or "build"

-- The subcommand's entry in commands.lua.
local function entry(name)
  for _, command in ipairs(commands.commands) do
    if command.name == "webhook" then
      for _, sub in ipairs(command.commands) do
        if sub.name == name then return sub end
      end
    end
  end
end

-- Runs a subcommand with the words of a command line -> its context, with the result in it, and its status.
local function run(opts, name, ...)
  local args, faults = flags.parse(entry(name), { ... })
  if not args then error(table.concat(faults, "; "), 0) end
  local ctx = { opts = opts, json = opts.json }
  function ctx:result(value, text) self.value, self.text = value, text end
  return ctx, webhook[name](ctx, args)
end

local function fails(code, ...)
  local ok, err = pcall(run, ...)
  t.eq(ok, false)
  t.eq(type(err) == "table" and err.code or err, code)
  return err
end

local function receiver(answer)
  local got = {}
  local server = assert(httpd.serve { handler = function(req)
    got[#got + 1] = { headers = req.headers, body = req.body }
    return { status = answer or 204 }
  end })
  return server, got
end

-- A folder of the test's own, with a key file in it.
local function with_key(fn)
  local dir = ("%s/webhook-%s"):format(FOLDER, require("moongate.uuid").v4())
  assert(fs.mkdir(dir))
  local path = dir .. "/hook.key"
  assert(fs.write(path, KEY .. "\n", { mode = 384 })) -- 0600
  local ok, err = pcall(fn, path, dir)
  for _, name in ipairs(assert(fs.list(dir))) do fs.remove(dir .. "/" .. name) end
  fs.remove(dir)
  if not ok then error(err, 0) end
end

t.test("send: signed with the key of a file, as the workflows do", function()
  with_key(function(path)
    for _, profile in ipairs { "standard", "mlflow" } do
      local server, got = receiver()
      local ctx = run({}, "send", server.url, "--secret-file", path, "--event", "llm_config_change", "--data",
        '{"a":[]}', "--webhook-profile", profile, "--id", "abc", "--header", "X-Audit-Source: genesys-router")
      server:stop()
      t.eq(ctx.value, { id = "abc", status = 204, attempts = 1, event = "llm_config_change", signed = true })
      t.ok(webhooks.verify { secret = KEY, headers = got[1].headers, body = got[1].body })
      t.eq(got[1].headers["x-audit-source"], "genesys-router")
      local body = json.decode(got[1].body)
      t.eq({ body.type, json.encode(body.data) }, { "llm_config_change", '{"a":[]}' })
    end
  end)
end)

t.test("send: data from a file, and what is wrong with it", function()
  with_key(function(_, dir)
    local server, got = receiver()
    assert(fs.write(dir .. "/data.json", '{"b": 1}'))
    local ctx = run({}, "send", server.url, "--data", "@" .. dir .. "/data.json")
    t.eq(ctx.value.signed, false)
    t.eq(json.decode(got[1].body).data, { b = 1 })
    t.ok(fails("parse", {}, "send", server.url, "--data", "{").message:find "^%-%-data: ")
    assert(fs.write(dir .. "/data.json", "["))
    t.ok(fails("parse", {}, "send", server.url, "--data", "@" .. dir .. "/data.json").message:find "data.json: ")
    fails("not_found", {}, "send", server.url, "--data", "@" .. dir .. "/none.json")
    server:stop()
    t.eq(#got, 1)
  end)
end)

t.test("send: a refusal is the command's failure, and names the id to try again with", function()
  local server = receiver(401)
  local err = fails("http", {}, "send", server.url, "--id", "m1")
  server:stop()
  t.eq(exit_status.of(err), exit_status.AUTH)
  t.ok(err.hint:find("--id m1", 1, true), err.hint)
  err = fails("invalid", {}, "send", "nowhere", "--id", "m1")
  t.ok(not (err.hint or ""):find("--id", 1, true), err.hint)
  err = fails("connect", { deadline = 0.2 }, "send", "http://127.0.0.1:1")
  t.eq(exit_status.of(err), exit_status.UNAVAILABLE)
end)

t.test("send: --dry-run shows a message that verifies, and sends nothing", function()
  with_key(function(path)
    local server, got = receiver()
    local ctx = run({ dry_run = true }, "send", server.url, "--secret-file", path)
    server:stop()
    t.eq(#got, 0)
    t.ok(webhooks.verify { secret = KEY, headers = ctx.value.headers, body = ctx.value.body })
    t.ok(ctx.text:find "^POST http")
  end)
end)

t.test("flags that are wrong", function()
  t.ok(fails("usage", {}, "send", "http://x", "--header", "no colon").message:find "NAME: VALUE")
  t.ok(fails("usage", {}, "send", "http://x", "--header", "Webhook-Id: x").message:find "the profile sets")
  t.ok(fails("usage", { profile = "mlflow" }, "send", "http://x").message:find "--webhook%-profile mlflow")
  t.ok(fails("usage", {}, "verify").message:find "needs %-%-secret%-env")
  fails("not_found", {}, "send", "http://x", "--secret-env", "NO_SUCH_VARIABLE_HERE")
  fails("not_found", {}, "verify", "--secret-file", "/nowhere/at/all")
  local ok, err = pcall(run, {}, "send", "http://x", "--webhook-profile", "mlfow")
  t.ok(not ok and tostring(err):find "did you mean 'mlflow'", tostring(err))
  ok, err = pcall(run, {}, "send", "http://x", "--secret", KEY)
  t.ok(not ok and tostring(err):find "unknown flag", "a secret is not taken from the command line")
end)

t.test("a key file that others may read is refused", function()
  with_key(function(_, dir)
    local path = dir .. "/open.key"
    assert(fs.write(path, KEY, { mode = 420 })) -- 0644
    local err = fails("denied", {}, "verify", "--secret-file", path)
    t.ok(err.message:find "chmod 600", err.message)
    assert(fs.write(path, "", { mode = 384 }))
    fails("invalid", {}, "verify", "--secret-file", path)
    fails("invalid", {}, "verify", "--secret-file", dir)
    assert(fs.write(path, ("x"):rep(5000), { mode = 384 }))
    fails("too_large", {}, "verify", "--secret-file", path)
  end)
end)

t.test("verify: says what verified, or why not", function()
  with_key(function(path, dir)
    local body, file = '{"x": 1}', dir .. "/body"
    assert(fs.write(file, body))
    for _, name in ipairs(webhooks.profiles) do
      local profile = require "moongate.webhooks.profile"
      local function verify(age, ...)
        local now = math.tointeger(require("moongate.time").now() // 1)
        local words = { "--secret-file", path, ... }
        for header, value in pairs(assert(profile.headers(name, KEY, "m1", now - age, body))) do
          words[#words + 1], words[#words + 2] = "--header", header .. ": " .. value
        end
        words[#words + 1] = file
        return {}, "verify", table.unpack(words)
      end
      local ctx = run(verify(0))
      t.eq(ctx.value, { verified = true, profile = name, id = "m1", bytes = #body })
      t.ok(fails("verify", verify(400)).message:find "400 s old")
      t.ok(run(verify(400, "--tolerance", "10m")).value.verified)
      t.eq(exit_status.of(fails("verify", {}, "verify", "--secret-file", path, file)), exit_status.VERIFY)
    end
  end)
end)
