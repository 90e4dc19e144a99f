-- bench.lua - the job: build a 600-byte JSON body, check it, POST it with a bearer and a fresh request id, parse the
-- answer, count; in tasks, at a fixed number in flight.  BENCH = "port in_flight seconds" in the environment.

local auth = require "moongate.auth"
local http = require "moongate.http"
local task = require "moongate.task"
local time = require "moongate.time"
local uuid = require "moongate.uuid"
local validate = require "moongate.validate"

local port, in_flight, seconds = ...
in_flight, seconds = math.tointeger(in_flight), tonumber(seconds)

local url = "http://127.0.0.1:" .. port
local schema = assert(validate.compile {
  type = "object",
  required = { "modelId", "prompt", "parameters" },
  properties = {
    modelId = { type = "string", minLength = 1, maxLength = 64 },
    prompt = { type = "string", maxLength = 8000 },
    parameters = {
      type = "object",
      properties = {
        temperature = { type = "number", minimum = 0, maximum = 2 },
        maxTokens = { type = "integer", minimum = 1, maximum = 8192 },
        topP = { type = "number", minimum = 0, maximum = 1 },
      },
    },
    metadata = { type = "object", additionalProperties = { type = "string" } },
  },
})

local client = assert(http.client {
  base_url = url,
  auth = assert(auth.bearer("0123456789abcdef0123456789abcdef0123456789abcdef", url)),
  headers = { Accept = "application/json" },
  deadline = 60,
})

local TEXT = ("The customer asks about a refund for order 4711. "):rep(8)
local done, failed, ending = 0, 0, time.monotonic() + seconds

local function job(n)
  local body = {
    modelId = "m-1",
    prompt = TEXT,
    parameters = { temperature = 0.2, maxTokens = 2048, topP = 0.95 },
    metadata = { routingVersion = "7", dispatchSource = "bench", sequence = tostring(n) },
  }
  if not schema:check(body) then return false end
  local response = client:post("/api/v2/ai/gateway/prompts", {
    json = body, headers = { ["X-Genesys-Request-Id"] = uuid.v4() },
  })
  if not response or response.status ~= 200 then return false end
  local answer = response:json()
  return answer ~= nil and answer.finishReason == "stop"
end

local function worker()
  while time.monotonic() < ending do
    if job(done) then done = done + 1 else failed = failed + 1 end
  end
end

local began, tasks = time.monotonic(), {}
for i = 1, in_flight do tasks[i] = task.spawn(worker) end
for i = 1, in_flight do tasks[i]:join() end
local took = time.monotonic() - began
print(("requests %d seconds %.3f rate %.0f failed %d"):format(done, took, done / took, failed))
