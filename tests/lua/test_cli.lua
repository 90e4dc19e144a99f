-- Small parts of the command line: exit statuses, suggestions, text, progress, error reports, help.
local commands = require "moongate.cli.commands"
local exit_status = require "moongate.exit_status"
local help = require "moongate.cli.help"
local progress = require "moongate.cli.progress"
local raised = require "moongate.raised"
local report = require "moongate.cli.report"
local suggest = require "moongate.suggest"
local t = require "moongate.test"
local text = require "moongate.text"

t.test("exit statuses are a contract", function()
  local expected = {
    { { code = "usage" }, 2 }, { { code = "invalid" }, 3 }, { { code = "parse" }, 3 }, { { code = "not_found" }, 3 },
    { { code = "too_large" }, 3 }, { { code = "http", status = 422 }, 3 }, { { code = "http", status = 400 }, 3 },
    { { code = "unauthorized" }, 4 }, { { code = "http", status = 401 }, 4 }, { { code = "http", status = 403 }, 4 },
    { { code = "conflict" }, 5 }, { { code = "http", status = 409 }, 5 }, { { code = "http", status = 412 }, 5 },
    { { code = "timeout" }, 6 }, { { code = "connect" }, 6 }, { { code = "network" }, 6 }, { { code = "tls" }, 6 },
    { { code = "breaker_open" }, 6 }, { { code = "retry_budget" }, 6 }, { { code = "unknown_outcome" }, 6 },
    { { code = "http", status = 429 }, 6 }, { { code = "http", status = 503 }, 6 },
    { { code = "http", status = 500 }, 6 },
    { { code = "denied" }, 7 }, { { code = "verify" }, 8 }, { { code = "corrupt" }, 8 }, { { code = "queued" }, 9 },
    { { code = "bug" }, 70 }, { { code = "interrupted" }, 130 },
    { { code = "http", status = 404 }, 1 }, { { code = "not_found", status = 404 }, 1 }, { { code = "script" }, 1 },
    { { code = "io" }, 1 }, { { code = "whatever" }, 1 }, { "text", 1 }, { {}, 1 },
    { { code = "http", status = 418, exit_status = 5 }, 5 },
  }
  for _, case in ipairs(expected) do
    t.eq(exit_status.of(case[1]), case[2], tostring(case[1].code) .. " " .. tostring(case[1].status))
  end
end)

t.test("the statuses that help lists are those that exist", function()
  local listed = {}
  for _, row in ipairs(commands.exit_statuses) do listed[row[1]] = true end
  for name, status in pairs(exit_status) do
    if type(status) == "number" then t.ok(listed[status], name) end
  end
end)

t.test("suggestions", function()
  t.eq(suggest.near("dcotor", { "doctor", "audit", "run" }), "doctor")
  t.eq(suggest.near("Deploy-Indx", { "deploy-index" }), "deploy-index")
  t.eq(suggest.near("xyz", { "doctor", "audit" }), nil)
  t.eq(suggest.near(("x"):rep(100), { "doctor" }), nil)
  t.eq(suggest.hint("rnu", { "run" }, "--"), " (did you mean '--run'?)")
end)

t.test("wrapping and columns", function()
  t.eq(text.wrap("aa bb cc", 5), { "aa bb", "cc" })
  t.eq(text.wrap("ää öö", 5), { "ää öö" })
  t.eq(text.wrap("", 5), {})
  t.eq(text.columns({ { "a", "one" }, { "bbb", "two" } }, 1), " a    one\n bbb  two")
  t.eq(text.count(1, "file"), "1 file")
  t.eq(text.seconds(0.26), "0.3 s")
  t.eq(text.seconds(125), "2 min 5 s")
  t.eq(text.seconds(7260), "2 h 1 min")
end)

local function bar(tty, quiet)
  local said, now = {}, 0
  local b = progress.new({ opts = { quiet = quiet } }, 40, "indexes", {
    tty = tty, clock = function() return now end, say = function(line) said[#said + 1] = line or "<gone>" end,
  })
  return b, said, function(s) now = now + s end
end

t.test("progress on a terminal: rewritten, with rate and time left, and taken away", function()
  local b, said, pass = bar(true)
  b:advance(1, "a")
  t.eq(said, {}, "nothing for short work")
  pass(2)
  b:advance(9, "b")
  pass(0.05)
  b:advance(1, "c")
  pass(0.1)
  b:advance(1, "d")
  b:done()
  t.eq(said, { "10/40 indexes, 5.0/s, 6.0 s left, b", "12/40 indexes, 5.6/s, 5.0 s left, d", "<gone>" })
end)

t.test("a progress line fits the terminal", function()
  t.eq(text.cut("äöü", 2), "äö")
  t.eq(text.cut("äö", 2), "äö")
  t.eq(text.cut("", 2), "")
end)

t.test("progress elsewhere: a line now and then; with --quiet nothing", function()
  local b, said, pass = bar(false)
  for _ = 1, 12 do
    pass(1)
    b:advance()
  end
  b:done()
  t.eq(said, { "1/40 indexes, 1.0/s, 39 s left", "6/40 indexes, 1.0/s, 34 s left", "11/40 indexes, 1.0/s, 29 s left" })
  b, said, pass = bar(true, true)
  pass(9)
  b:advance()
  b:done()
  t.eq(said, {})
end)

local CTX = { opts = { verbose = 0 }, paint = function(_, _, _, s) return s end }

t.test("a failed call: what, where, why, what next", function()
  t.eq(report.lines(CTX, {
    code = "http", message = "dimensions is too large", status = 422, method = "PUT", path = "/api/v2/x", attempts = 2,
    correlation_id = "c-1", outcome = "refused", hint = "lower it",
    details = { { field = "/dimensions", message = "at most 4096" }, { code = "E7" } },
  }), {
    "moongate: error: dimensions is too large",
    "  PUT /api/v2/x, status 422, 2 attempts, outcome refused, correlation id c-1",
    "  - /dimensions: at most 4096",
    "  - E7",
    "  hint: lower it",
  })
end)

t.test("a gateway's words are shown as text", function()
  t.eq(report.lines(CTX, { code = "http", message = "a\27[2Jb\r\nc" })[1], "moongate: error: a\\x1b[2Jb\\x0d\n    c")
  local host = require "moongate.host"
  for given, shown in pairs {
    ["a\tb\nc é 😀"] = "a\tb\nc é 😀", ["\7\0"] = "\\x07\\x00", ["\127\194\155"] = "\\u007f\\u009b",
    ["\u{202e}x\u{2066}"] = "\\u202ex\\u2066", ["\155\255é"] = "\\x9b\\xffé", ["\237\160\128"] = "\\xed\\xa0\\x80",
  } do t.eq(host.visible(given), shown) end
  t.eq(host.visible("a\nb\r", true), "a\\nb\\x0d")
end)

t.test("a script's error has its place, ours is a bug, neither a traceback", function()
  local err = raised.normal "my.lua:3: boo"
  t.eq(err, { code = "script", message = "boo", where = "my.lua:3" })
  t.eq(report.lines(CTX, err), { "moongate: error: my.lua:3: boo" })
  err = raised.normal { code = "script", message = "boo", where = "moongate/x.lua:1", traceback = "stack" }
  t.eq(err.code, "bug")
  t.eq(#report.lines(CTX, err), 2)
  t.eq(report.lines({ opts = { verbose = 1 }, paint = CTX.paint }, err)[3], "stack")
  t.eq(raised.normal({}).code, "script")
end)

t.test("a failure as JSON", function()
  local json = require "moongate.json"
  local err = { code = "invalid", message = "no", details = { { field = "/a", message = "b" } } }
  t.eq(json.encode(report.document(err, 3)),
    '{"error":{"code":"invalid","details":[{"field":"/a","message":"b"}],"exit_status":3,"message":"no"}}')
end)

t.test("every command has help and is in a group of the first page", function()
  local page = help.program()
  for _, command in ipairs(commands.commands) do
    t.ok(page:find(command.name, 1, true))
    local words = { command.name }
    t.ok(help.find(words):find("Usage: moongate " .. command.name, 1, true))
    for _, sub in ipairs(command.commands or {}) do
      t.ok(help.find({ command.name, sub.name }):find(sub.summary, 1, true))
    end
  end
  t.eq(page:find("Other", 1, true), nil)
  local flags = help.find { "flags" }
  for _, flag in ipairs(commands.globals) do t.ok(flags:find("--" .. flag[1], 1, true)) end
  t.raises(function() help.find { "doktor" } end, "did you mean 'doctor'")
  t.raises(function() help.find { "audit", "verifi" } end, "did you mean 'verify'")
end)

t.test("help lines are short and help is laid out for the terminal", function()
  local function check(name, spec)
    t.ok(#(spec.summary or "") <= 60, name)
    for _, flag in ipairs(spec.flags or {}) do
      t.ok(flag[1] == "safety" or #flag[2] <= 60, name .. " --" .. flag[1] .. ": " .. flag[2])
    end
  end
  check("moongate", { flags = commands.globals })
  for _, command in ipairs(commands.commands) do
    check(command.name, command)
    for _, sub in ipairs(command.commands or {}) do check(command.name .. " " .. sub.name, sub) end
  end
  local bundled = require "moongate.bundled"
  for _, name in ipairs(bundled.names()) do check(name, bundled.load(name)) end
  local real = text.width
  for _, width in ipairs { 60, 80 } do
    text.width = function() return width end
    for line in (help.program() .. help.find { "flags" } .. help.find { "runs" }):gmatch("[^\n]+") do
      t.ok(utf8.len(line) <= width or line:find "^  moongate" or line:find "^Global", line)
    end
  end
  t.ok(select(2, help.program():gsub("\n", "\n")) <= 60, "fits 60 lines")
  text.width = real
end)
