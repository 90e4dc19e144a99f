-- reply.lua - the text of a model's answer, wherever an API puts it. For the router and the synthetic test.

local M = {}

-- JSON Pointers, in the order in which they are tried; a kind's `answer` replaces them. What a pointer leads to is a
-- text, or the blocks of one: {text =}, {content = …}, {parts = …} or a list of those.
M.POINTERS = {
  "/output", "/choices/0/message/content", "/choices/0/text", "/text", "/completion", "/response", "/content",
  "/candidates/0/content", "/candidates/0/output", "/message/content", "/message", "/generations/0/text",
  "/results/0/outputText", "/outputs/0/text", "/generation", "/generated_text", "/0/generated_text", "/output_text",
  "/answer", "/result", "/data",
}
M.REASONS = {
  "/finishReason", "/choices/0/finish_reason", "/stop_reason", "/finish_reason", "/done_reason",
  "/candidates/0/finishReason",
}

-- "/choices/0/text" -> {"choices", 1, "text"}: a number is a place in a list, or a name.
local function parse(pointer)
  local keys = {}
  for key in pointer:gmatch "/([^/]*)" do
    keys[#keys + 1] = (key:gsub("~1", "/"):gsub("~0", "~"))
  end
  return keys
end

local parsed = setmetatable({}, { __mode = "k" }) -- list of pointers -> list of lists of keys

local function keys_of(pointers)
  local list = parsed[pointers]
  if list then return list end
  list = {}
  for i, pointer in ipairs(pointers) do list[i] = parse(pointer) end
  parsed[pointers] = list
  return list
end

local function at(value, keys)
  for _, key in ipairs(keys) do
    if type(value) ~= "table" then return nil end
    local index = value[1] ~= nil and math.tointeger(tonumber(key))
    if index then value = value[index + 1] else value = value[key] end
  end
  return value
end

local text_of

local DEPTH = 6

local function joined(list, depth)
  local parts
  for _, block in ipairs(list) do
    local text = text_of(block, depth)
    if text then
      parts = parts or {}
      parts[#parts + 1] = text
    end
  end
  return parts and table.concat(parts)
end

-- A text, or the blocks of one -> the text, or nil. Blocks that are no text (a call of a tool, thoughts) are left out.
function text_of(value, depth)
  if type(value) == "string" then return value end
  if type(value) ~= "table" or depth > DEPTH then return nil end
  if value[1] ~= nil then return joined(value, depth + 1) end
  if type(value.text) == "string" then return value.text end
  return text_of(value.content or value.parts or value.message or value.output_text, depth + 1)
end

-- M.text(body [, pointers]) -> the text, "" where there is only an empty one, or nil where the answer has none. body:
-- decoded JSON
function M.text(body, pointers)
  if type(body) == "string" then return body end
  local empty
  for _, keys in ipairs(keys_of(pointers or M.POINTERS)) do
    local text = text_of(at(body, keys), 1)
    if text and text ~= "" then return text end
    empty = empty or text
  end
  return empty
end

-- M.finish_reason(body) -> text or nil
function M.finish_reason(body)
  for _, keys in ipairs(keys_of(M.REASONS)) do
    local reason = at(body, keys)
    if type(reason) == "string" then return reason end
  end
end

local function count(usage, ...)
  for _, name in ipairs { ... } do
    if math.type(usage[name]) then return usage[name] end
  end
end

-- M.usage(body) -> the answer's own table of usage, and the tokens of input and output that it says; nil: not said.
function M.usage(body)
  if type(body) ~= "table" then return nil end
  local usage = body.usage or body.usageMetadata
  if type(usage) ~= "table" then return nil end
  return usage, count(usage, "inputTokens", "input_tokens", "prompt_tokens", "promptTokens", "promptTokenCount"),
    count(usage, "outputTokens", "output_tokens", "completion_tokens", "completionTokens", "candidatesTokenCount")
end

local WARNING = "the response has no text where it is expected; it is kept unchanged (raw)"

-- M.read(body, response [, pointers]) -> an answer in the form {output, finishReason, usage, safety, modelId,
-- requestId, raw, warning}. body: what the response holds as JSON, nil when it is none. raw: the answer, where no text
-- was found
function M.read(body, response, pointers)
  local text = M.text(body, pointers)
  if body == nil and response.body ~= "" and (response.headers["content-type"] or ""):find "^%s*text/plain" then
    text = response.body
  end
  local t = type(body) == "table" and body or {}
  return {
    output = text, finishReason = M.finish_reason(t), usage = (M.usage(t)), safety = t.safety, modelId = t.modelId,
    requestId = t.requestId,
    raw = text == nil and (body == nil and response.body or body) or nil,
    warning = text == nil and WARNING or nil,
  }
end

return M
