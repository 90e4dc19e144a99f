-- Creates by POST: the job is waited for, an answer that was lost is looked up in the listing and never sent again.
local fake = require "fake_gateway"
local hash = require "moongate.hash"
local json = require "moongate.json"
local t = require "moongate.test"

local THINGS = { list = "/things", path = "/things", create = "POST", same = { "name" }, hash = "print", lock = "none",
  scopes = { read = "r", write = "w" },
  job = { path = "/jobs/{jobId}", done = { "COMPLETED" }, failed = { "FAILED" }, running = { "QUEUED", "RUNNING" },
    scope = "jobs" } }

local function new_log()
  local log = { warned = {} }
  for _, level in ipairs { "error", "info", "debug" } do log[level] = function() end end
  log.warn = function(fmt, ...) log.warned[#log.warned + 1] = fmt:format(...) end
  return log
end

-- states: what the nth poll meets: a state, {status = …}, or a function(request) -> response | nil, err.
-- listed: what the nth listing holds. post: function(request, client) -> response | nil, err
local function open(opts)
  local polls, lists = 0, 0
  local client = fake.client { before = function(request, _, client)
    if request.method == "POST" then
      if opts.post then return opts.post(request, client) end
      return fake.answer(request, 202, { jobId = "j 1" })
    elseif request.path == "/things" then
      lists = lists + 1
      local entities = opts.listed and (opts.listed[lists] or opts.listed[#opts.listed]) or {}
      return fake.answer(request, 200, { entities = json.array(entities), pageSize = 100, pageNumber = 1,
        total = #entities })
    end
    polls = polls + 1
    local state = opts.states[polls] or opts.states[#opts.states]
    if type(state) == "function" then return state(request) end
    local body = type(state) == "table" and state or { status = state }
    body.id, body.result = "j 1", body.status == "COMPLETED" and { id = "thing-1" } or nil
    return fake.answer(request, 200, body)
  end }
  local log = new_log()
  local gw, audit, clock = fake.open(client, { kinds = { thing = THINGS }, log = log })
  return gw, client, audit, clock, log
end

local CONTENT = { name = "a", size = 1 }

t.test("the job is waited for: at once, then ever later, up to 3 s", function()
  local gw, client, audit, clock = open { states = { "QUEUED", "QUEUED", "RUNNING", "RUNNING", "RUNNING", "RUNNING",
    "RUNNING", "COMPLETED" } }
  local seen = {}
  local result = gw:write("thing", {}, {
    content = CONTENT, job = { watch = function(state) seen[#seen + 1] = state end },
  })
  t.eq({ result.status, result.id, result.job.id, result.job.status }, { "created", "thing-1", "j 1", "COMPLETED" })
  t.eq(clock.slept, { 0.25, 0.5, 1, 2, 3, 3, 3 })
  t.eq(result.job.duration_ms, 12750)
  t.eq(seen[8], "COMPLETED")
  t.eq(client.requests[2].params, { jobId = "j 1" })
  t.eq({ audit.lines[1].phase, audit.lines[2].status }, { "intent", "created" })
end)

t.test("429 while polling waits; an unknown state is still running, with one warning", function()
  local gw, _, _, clock, log = open { states = {
    function(request) return fake.answer(request, 429, nil, nil, { retry_after = 7 }) end,
    "WARMING_UP", "WARMING_UP", "COMPLETED",
  } }
  t.eq(gw:write("thing", {}, { content = CONTENT }).id, "thing-1")
  t.eq(clock.slept[1], 7)
  t.eq(#log.warned, 1)
  t.ok(log.warned[1]:find("/jobs/j%201: status WARMING_UP is not known", 1, true), log.warned[1])
end)

t.test("a job that failed tells all its errors", function()
  local gw, _, audit = open { states = { "RUNNING", { status = "FAILED", errors = json.array {
    { message = "no answer", errorCode = "unreachable", fieldName = "url" }, { code = "two" }, "three",
  } } } }
  local ok, err = pcall(gw.write, gw, "thing", {}, { content = CONTENT })
  t.ok(not ok)
  t.eq({ err.code, err.outcome, err.message, err.job.id }, { "failed", "final", "thing: job j 1 failed", "j 1" })
  t.eq({ err.details[1].field, err.details[1].message, err.details[2].message, err.details[3].message },
    { "url", "no answer", "two", "three" })
  t.eq(audit.lines[2].status, "failed")
end)

t.test("a job that does not end: timeout, and that it goes on is said", function()
  local gw, client, audit = open { states = { "RUNNING" } }
  local ok, err = pcall(gw.write, gw, "thing", {}, { content = CONTENT })
  t.ok(not ok)
  t.eq({ err.code, err.outcome }, { "timeout", "unknown" })
  t.ok(err.message:find("still RUNNING after 120 s", 1, true), err.message)
  t.ok(err.hint:find("/jobs/j%201", 1, true), err.hint)
  t.eq(client:count "POST", 1)
  t.eq(audit.lines[2].status, "unknown")
end)

t.test("a missing scope for the job is named", function()
  local gw = open { states = { function(request) return fake.answer(request, 403) end } }
  local ok, err = pcall(gw.write, gw, "thing", {}, { content = CONTENT })
  t.ok(not ok)
  t.eq(err.status, 403)
  t.ok(err.hint:find("needs the scope jobs. The job continues", 1, true), err.hint)
end)

-- What was accepted is never reported as failed, whatever the answer looks like.
t.test("an answer without a job, and a job without a result: what it made is looked for in the listing", function()
  local made = { id = 77, name = "a", print = hash.payload(CONTENT) }
  local no_result = function(request) return fake.answer(request, 200, { status = "COMPLETED" }) end
  local odd = { {}, json.array {}, "accepted", json.null, { jobId = {} }, { jobId = json.null }, { jobId = "" } }
  for _, body in ipairs(odd) do
    local gw = open { post = function(request) return fake.answer(request, 202, body) end, listed = { {}, { made } } }
    local result = gw:write("thing", {}, { content = CONTENT })
    t.eq({ result.status, result.id, result.job }, { "created", "77" })
  end
  local result = open({ states = { no_result }, listed = { { made } } }):write("thing", {}, { content = CONTENT })
  t.eq({ result.status, result.id, result.job.id }, { "created", "77", "j 1" })
  local gw, _, audit = open { states = { no_result } }
  result = gw:write("thing", {}, { content = CONTENT })
  t.eq({ result.status, result.id, audit.lines[2].status }, { "created", nil, "created" })
  gw = open { post = function(request) return fake.answer(request, 201, { id = 5, name = "a" }) end }
  t.eq(gw:write("thing", {}, { content = CONTENT }).id, "5")
end)

t.test("ids of any type are ids", function()
  for sent, path in pairs { [17] = "17", [true] = "true", [9007199254740993] = "9007199254740993", [2.5] = "2.5" } do
    local gw, client = open {
      post = function(request)
        local response = fake.answer(request, 202, {})
        function response.json() return { jobId = sent } end
        return response
      end,
      states = { function(request) return fake.answer(request, 200, { status = "COMPLETED", result = 9 }) end },
    }
    local result = gw:write("thing", {}, { content = CONTENT })
    t.eq({ result.id, result.job.id, client.requests[2].params.jobId }, { "9", path, path })
  end
end)

t.test("a look at the job that gives no JSON is made again", function()
  local gw = open { states = {
    function(request)
      local response = fake.answer(request, 200, {})
      response.body = "<html>"
      function response.json() return nil, { message = "expected a value" } end
      return response
    end,
    function(request) return fake.answer(request, 204) end,
    function(request) return fake.answer(request, 200, { status = json.null }) end,
    "COMPLETED",
  } }
  t.eq(gw:write("thing", {}, { content = CONTENT }).id, "thing-1")
end)

-- ---- lost answers ----

local function lost(request, client) return fake.lost(client, request, false) end

t.test("a lost answer is found by name and hash: reconciled, sent once", function()
  local print = hash.payload(CONTENT)
  local gw, client, audit = open { post = lost, listed = {
    { { id = "x", name = "b", print = print } }, {},
    { { id = "y", name = "a", print = "other" }, { id = "z", name = "a", print = print:upper() } },
  } }
  local result = gw:write("thing", {}, { content = CONTENT })
  t.eq({ result.status, result.id }, { "reconciled", "z" })
  t.eq(client:count "POST", 1)
  t.eq(audit.lines[2].status, "reconciled")
end)

t.test("a lost answer that is not found stays unknown, and what to look at is said", function()
  local gw, client = open { post = lost }
  local ok, err = pcall(gw.write, gw, "thing", {}, { content = CONTENT })
  t.ok(not ok)
  t.eq({ err.code, err.outcome }, { "unknown_outcome", "unknown" })
  t.ok(err.hint:find("look at GET /things", 1, true), err.hint)
  t.eq(client:count "POST", 1)
end)

t.test("without hashes the members that are listed decide; a bare name only where it was not there before", function()
  local function write(listed, before)
    local gw, client = open { post = lost, listed = { listed } }
    local ok, result = pcall(gw.write, gw, "thing", {}, { content = CONTENT, job = { before = before } })
    t.eq(client:count "POST", 1)
    return ok and result.id or result.outcome .. ": " .. result.message
  end
  t.eq(write { { id = "y", name = "a", size = 1 } }, "y")
  t.eq(write { { id = "x", name = "a", size = 2 }, { id = "y", name = "a", size = 1 } }, "y")
  t.ok(write { { id = "x", name = "a", size = 2 } }:find "^unknown: .*not in the listing so far")
  t.ok(write { { id = "y", name = "a" } }:find "^unknown: .*does not show")
  t.eq(write({ { id = "y", name = "a" } }, {}), "y")
  t.eq(write({ { id = 1, name = "a" }, { id = "y", name = "a" } }, { { id = 1, name = "a" } }), "y")
  t.ok(write({ { id = 1, name = "a" } }, { { id = 1, name = "a" } }):find "^unknown: .*not in the listing so far")
  t.ok(write({ { id = 1, name = "a" }, { id = 2, name = "a" } }, {}):find "^unknown: .*does not show")
end)

t.test("what was made here is known again, where the listing has no hash", function()
  local gw = open { states = { "COMPLETED" }, listed = { { { id = "thing-1", name = "a" } } } }
  gw:write("thing", {}, { content = CONTENT })
  t.eq(gw:find("thing", {}, CONTENT)[1].same_content, true)
  t.eq(gw:find("thing", {}, { name = "a", size = 2 })[1].same_content, false)
end)

t.test("gw:find tells what has the same name, and whether the same content", function()
  local gw, client = open { listed = { {
    { id = "1", name = "a", print = hash.payload(CONTENT) }, { id = "2", name = "a", print = "0" },
    { id = "3", name = "a" }, { id = "4", name = "b" },
  } } }
  local found, listed = gw:find("thing", {}, CONTENT)
  t.eq({ #found, found[1].same_content, found[2].same_content, found[3].same_content }, { 3, true, false, nil })
  t.eq(#gw:find("thing", {}, { name = "b" }, { among = listed }), 1)
  t.eq(#client.requests, 1)
end)

t.test("a dry run sends nothing", function()
  local gw, client = open {}
  t.eq(gw:write("thing", {}, { content = CONTENT, dry_run = true }).status, "planned")
  t.eq(#client.requests, 0)
end)

t.test("a declaration of a job is checked", function()
  for _, job in ipairs { { path = "/x" }, { path = "x", done = { "A" } }, { path = "/x", done = { "A" }, fone = 1 } } do
    local ok, err = pcall(fake.open, fake.client(), { kinds = { thing = { path = "/t", job = job } } })
    t.ok(not ok and err.code == "invalid", tostring(err))
  end
end)
