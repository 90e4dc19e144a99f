-- A gateway that is away for a moment, or has a limit: what a batch does, and how it says so.
local batch = require "moongate.batch"
local fake = require "fake_gateway"
local flags = require "moongate.flags"
local gateway = require "moongate.gateway"
local http = require "moongate.http"
local httpd = require "moongate.httpd"
local progress = require "moongate.cli.progress"
local t = require "moongate.test"
local task = require "moongate.task"
local time = require "moongate.time"
local workflow = require "moongate.workflow"

local quiet = { error = function() end, warn = function() end, info = function() end, debug = function() end }

-- A gateway that answers with `refusal` until `seconds` after its first request.
local function away_for(seconds, refusal)
  local until_, hits = nil, { refused = 0, fine = 0 }
  local server = assert(httpd.serve { handler = function()
    until_ = until_ or time.monotonic() + seconds
    if time.monotonic() < until_ then
      hits.refused = hits.refused + 1
      return refusal
    end
    hits.fine = hits.fine + 1
    return { json = { id = "x" } }
  end })
  return server, hits
end

-- A workflow over n things, a request each -> outcome, the lines of its progress
local function over(server, n, session)
  local lines = {}
  local all = {
    progress = function(total, noun)
      local function say(line) lines[#lines + 1] = line end
      return progress.new({ opts = {} }, total, noun, { tty = false, say = say })
    end,
    gateway = function(options, run)
      options.base_url, options.deadline = server.url, options.deadline or run.deadline
      return gateway.open { client = assert(http.client(options)), audit = fake.audit(), log = quiet, leases = false }
    end,
    report = function() end,
  }
  for k, v in pairs(session or {}) do all[k] = v end
  local items = {}
  for i = 1, n do items[i] = i end
  local outcome = workflow.execute(workflow.define {
    name = "look", summary = "look at things", args = {}, flags = {},
    run = function(run)
      local entries = batch.map(run, items, {
        noun = "things", concurrency = 4, changed = {}, entry = function(i) return { id = i } end,
        name = function(entry) return "thing " .. entry.id end,
        work = function(i, entry)
          run.gateway:get_path("/things/" .. i)
          entry.status = "done"
        end,
      })
      return batch.result(entries, {
        noun = "things", order = { "done", "failed" }, detail = function() return {} end,
        line = function(entry) return entry.status end,
      })
    end,
  }, assert(flags.parse({ args = {}, flags = {} }, {})), all)
  return outcome, lines
end

t.test("a batch outlives an outage, pauses as one and says so", function()
  local server <close>, hits = away_for(1.6, { status = 503, body = "away" })
  local outcome, lines = over(server, 30)
  t.eq({ outcome.exit_status, outcome.data.summary.done }, { 0, 30 })
  t.eq(hits.fine, 30)
  t.ok(hits.refused < 30, "it was asked again and again: " .. hits.refused)
  t.ok(table.concat(lines, "\n"):find "0/30 things.*, gateway unavailable, waiting %d s", lines[1])
end)

t.test("429 without a word of when: tried again until it passes", function()
  local server <close>, hits = away_for(1.2, { status = 429, json = { message = "slow down" } })
  t.eq(over(server, 12).data.summary.done, 12)
  t.eq(hits.fine, 12)
end)

t.test("the deadline and the number of retries are the project file's, or the user's", function()
  local server <close> = away_for(60, { status = 503, body = "away" })
  local began = time.monotonic()
  local outcome = over(server, 1, { project = { http = { deadline = "700ms" } } })
  t.eq(outcome.exit_status, 6)
  local took = time.monotonic() - began
  t.ok(took > 0.3 and took < 1.5, took)
  local other <close>, hits = away_for(60, { status = 503, body = "away" })
  t.eq(over(other, 1, { project = { http = { retries = 1 } } }).exit_status, 6)
  t.eq(hits.refused, 2)
  local third <close>, once = away_for(60, { status = 503, body = "away" })
  t.eq(over(third, 1, { retries = 0, project = { http = { retries = 5 } } }).exit_status, 6)
  t.eq(once.refused, 1)
end)

t.test("a limit that is used up is waited for, and said", function()
  local server <close> = assert(httpd.serve { handler = function()
    return { json = {}, headers = { ["X-RateLimit-Limit"] = "50", ["X-RateLimit-Remaining"] = "0",
      ["X-RateLimit-Reset"] = "1" } }
  end })
  local client = assert(http.client { base_url = server.url })
  assert(client:get "/a")
  t.eq({ client:stats().limit.left, client:stats().limit.allowed, client:stats().waiting }, { 0, 50 })
  local began = time.monotonic()
  local second = task.spawn(function() return client:get "/b" end)
  task.sleep(0.1)
  t.eq(client:stats().waiting.reason, "rate_limit")
  second:join()
  t.ok(time.monotonic() - began >= 0.9)
end)

t.test("a wait past the deadline fails with the time", function()
  local server <close> = assert(httpd.serve { handler = function()
    return { json = {}, headers = { ["X-RateLimit-Remaining"] = "0", ["X-RateLimit-Reset"] = "47" } }
  end })
  local client = assert(http.client { base_url = server.url, deadline = 20 })
  assert(client:get "/a")
  local _, err = client:get "/b"
  t.eq({ err.code, err.outcome, err.attempts }, { "timeout", "not_sent", 0 })
  t.eq(err.message, "Rate limited: the next request is allowed in 47 s, past the 20 s deadline")
  t.eq(err.hint, "Raise --deadline, or retry in 47 s.")
  local busy <close> = away_for(60, { status = 429, json = {}, headers = { ["Retry-After"] = "33" } })
  _, err = assert(http.client { base_url = busy.url, deadline = 20 }):post("/a", { json = {} })
  t.eq({ err.status, err.outcome, err.attempts, err.retry_after }, { 429, "refused", 1, 33 })
  t.ok(err.message:find("Rate limited: the next request is allowed in 33 s, past the 20 s deadline", 1, true))
end)

t.test("a job is looked at once more right before the time for it is over", function()
  local began
  local server <close> = assert(httpd.serve { handler = function()
    began = began or time.monotonic()
    return { json = { status = time.monotonic() - began < 1 and "RUNNING" or "COMPLETED" } }
  end })
  local gw = gateway.open {
    client = assert(http.client { base_url = server.url }), audit = fake.audit(), log = quiet, leases = false,
  }
  t.eq(gw:poll("/job", { done = { "COMPLETED" }, running = { "RUNNING" }, deadline = 1.4 }).status, "COMPLETED")
end)

t.test("a webhook whose receiver is too slow fails in words that are true", function()
  local server <close> = assert(httpd.serve { handler = function()
    task.sleep(3)
    return { status = 200 }
  end })
  local webhooks = require "moongate.webhooks"
  local _, err = webhooks.send { url = server.url, event = "e", data = {}, deadline = 0.4 }
  t.ok(not err.message:find "come back", err.message)
  t.ok(err.message:find "gave up after 1 attempt, at the deadline", err.message)
end)
