-- chat: an endpoint in the manner of OpenAI's: POST /v1/chat/completions (also as a stream) and GET /v1/models. It
-- takes no token of the gateway: with the option model_tokens it wants one of those, else none.
--
-- It answers for the models that are registered, and with the option any_model for every name (under --sim it plays the
-- endpoints of others, which have names of their own for a model).
--
-- It does what it is told by "Respond with exactly: X", and otherwise says how long what it was told is. Own: the
-- model's name may ask for a fault: "…-mute" answers an empty reply, "…-wrong" something else, "…-slow" takes 500 ms,
-- "…-down" is 503, "…-busy" 429, "…-broken" is no JSON.
local hash = require "moongate.hash"
local json = require "moongate.json"
local task = require "moongate.task"
local time = require "moongate.time"

local M = { name = "chat" }

function M.new()
  return { completions = 0, by_model = {} }
end

function M.show(self)
  return { completions = self.completions, by_model = self.by_model }
end

-- ---- OpenAI's error form ----

local function fail(status, kind, message, param, code)
  return {
    status = status,
    json = { error = { message = message, type = kind, param = param or json.null, code = code or json.null } },
  }
end

-- nil, or the 401
local function unwelcome(gw, call)
  local tokens = gw.options.model_tokens
  if not tokens then return nil end
  local given = (call.req.headers.authorization or ""):match "^[Bb][Ee][Aa][Rr][Ee][Rr]%s+(%S+)%s*$"
  for _, token in ipairs(tokens) do
    if given and hash.equal(token, given) then return nil end
  end
  return fail(401, "invalid_request_error", given and "Incorrect API key provided." or "You didn't provide an API key.",
    nil, "invalid_api_key")
end

-- ---- what is said ----

local function text_of(content)
  if type(content) == "string" then return content end
  if type(content) ~= "table" then return nil end
  local parts = {}
  for _, part in ipairs(content) do parts[#parts + 1] = type(part) == "table" and part.text or nil end
  return table.concat(parts)
end

-- The last thing that the user said, or nil.
local function asked(messages)
  if type(messages) ~= "table" then return nil end
  for i = #messages, 1, -1 do
    local message = messages[i]
    if type(message) == "table" and message.role == "user" then return text_of(message.content) end
  end
end

local function tokens(text)
  return math.max(1, ((utf8.len(text) or #text) + 3) // 4)
end

local function reply_of(model, prompt)
  if model:find "%-mute$" then return "" end
  if model:find "%-wrong$" then return "I would rather not." end
  local exact = prompt:match "[Rr]espond with exactly:%s*(.-)%s*$"
  return exact or ("%d characters were received."):format(utf8.len(prompt) or #prompt)
end

local FAULTS = {
  { "%-down$", function() return fail(503, "server_error", "The model is down.") end },
  { "%-busy$", function()
    local response = fail(429, "requests", "Rate limit reached.", nil, "rate_limit_exceeded")
    response.headers = { ["Retry-After"] = "1" }
    return response
  end },
  { "%-broken$", function() return { status = 200, body = "<html>not what you want</html>" } end },
}

local function fault_of(model)
  for _, fault in ipairs(FAULTS) do
    if model:find(fault[1]) then return fault[2]() end
  end
end

local function given(v)
  if v ~= json.null then return v end
end

local ODD = { mute = true, wrong = true, slow = true, down = true, busy = true, broken = true }

-- The registered model of that name, or nil.
local function registered(gw, name)
  for _, model in ipairs(gw.models.list) do
    if model.name == name then return model end
  end
end

local function unknown(name)
  return fail(404, "invalid_request_error", ("The model '%s' does not exist."):format(name), "model", "model_not_found")
end

-- ---- the answer ----

local function whole(head, reply, usage, reason)
  head.object = "chat.completion"
  head.choices = json.array {
    { index = 0, message = { role = "assistant", content = reply, refusal = json.null }, finish_reason = reason,
      logprobs = json.null },
  }
  head.usage = usage
  return { json = head }
end

-- Server-sent events: the role, each word, the end.
local function streamed(head, reply, usage, ended)
  local lines = {}
  head.object = "chat.completion.chunk"
  local function event(delta, reason)
    head.choices = json.array { { index = 0, delta = delta, finish_reason = reason or json.null } }
    lines[#lines + 1] = "data: " .. json.encode(head) .. "\n\n"
  end
  event { role = "assistant", content = "" }
  for word in reply:gmatch "%s*%S+" do event { content = word } end
  event({}, ended)
  if usage then
    head.choices, head.usage = json.array {}, usage
    lines[#lines + 1] = "data: " .. json.encode(head) .. "\n\n"
  end
  lines[#lines + 1] = "data: [DONE]\n\n"
  return { headers = { ["Content-Type"] = "text/event-stream" }, body = table.concat(lines) }
end

local function complete(gw, call)
  local refused = unwelcome(gw, call)
  if refused then return refused end
  local body = call.body
  local model, prompt = body.model, asked(body.messages)
  if type(model) ~= "string" or model == "" then
    return fail(400, "invalid_request_error", "you must provide a model parameter", "model")
  elseif not prompt then
    return fail(400, "invalid_request_error", "messages must contain a user message with text", "messages")
  end
  if given(body.n) and body.n ~= 1 then
    return fail(400, "invalid_request_error", "n must be 1: this endpoint gives one choice", "n")
  end
  if not (gw.options.any_model or registered(gw, model) or ODD[model:match "%-(%l+)$"]) then return unknown(model) end
  local state = gw.chat
  state.completions = state.completions + 1
  state.by_model[model] = (state.by_model[model] or 0) + 1
  if model:find "%-slow$" then task.sleep(0.5) end
  local fault = fault_of(model)
  if fault then return fault end
  local reply = reply_of(model, prompt)
  local head = { id = "chatcmpl-" .. gw.rng:hex(1), created = math.floor(time.now()), model = model }
  local limit, reason = math.tointeger(given(body.max_completion_tokens) or given(body.max_tokens)), "stop"
  if limit and limit >= 1 and tokens(reply) > limit then -- four characters a token
    local cut = utf8.offset(reply, limit * 4 + 1)
    reply, reason = cut and reply:sub(1, cut - 1) or reply, "length"
  end
  local used, made = tokens(prompt), tokens(reply)
  local usage = { prompt_tokens = used, completion_tokens = made, total_tokens = used + made }
  if body.stream == true then
    local options = type(body.stream_options) == "table" and body.stream_options or {}
    return streamed(head, reply, options.include_usage == true and usage or nil, reason)
  end
  return whole(head, reply, usage, reason)
end

-- GET /v1/models/{id}: of a model that is registered.
local function show(gw, call)
  local refused = unwelcome(gw, call)
  if refused then return refused end
  local model = registered(gw, call.params.id)
  if not model then return unknown(call.params.id) end
  return { json = { id = model.name, object = "model", created = math.floor(time.parse(model.created_at)),
    owned_by = "moongate" } }
end

local function list(gw, call)
  local refused = unwelcome(gw, call)
  if refused then return refused end
  local data = {}
  for i, model in ipairs(gw.models.list) do
    data[i] = { id = model.name, object = "model", created = math.floor(time.parse(model.created_at)),
      owned_by = "moongate" }
  end
  return { json = { object = "list", data = json.array(data) } }
end

M.routes = {
  { "POST", "/v1/chat/completions", open = true, body = "json", handler = complete },
  { "GET", "/v1/models", open = true, handler = list },
  { "GET", "/v1/models/{id}", open = true, handler = show },
}

return M
