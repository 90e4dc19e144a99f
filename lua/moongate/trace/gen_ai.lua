-- gen_ai.lua - calls of a model as OpenTelemetry's generative AI conventions name them, version 1.37.0:
-- https://github.com/open-telemetry/semantic-conventions/blob/v1.37.0/docs/gen-ai/gen-ai-spans.md. The one place that
-- knows the names, so that another version is a change of this file.

local trace = require "moongate.trace"

local M = {}

-- gen_ai.span(call, fn) -> what fn(span) returns; a span "chat <model>". call: {model, provider, operation = "chat",
-- temperature, top_p, max_tokens, conversation}
function M.span(call, fn)
  if not trace.on() then return trace.span(nil, nil, fn) end
  local operation = call.operation or "chat"
  return trace.span(operation .. " " .. tostring(call.model), {
    ["gen_ai.operation.name"] = operation, ["gen_ai.provider.name"] = call.provider or "custom",
    ["gen_ai.request.model"] = call.model, ["gen_ai.request.temperature"] = call.temperature,
    ["gen_ai.request.top_p"] = call.top_p, ["gen_ai.request.max_tokens"] = call.max_tokens,
    ["gen_ai.conversation.id"] = call.conversation,
  }, fn, "client")
end

-- gen_ai.answered(span, answer): what came back. answer: {id, model, input_tokens, output_tokens, finish_reasons}
function M.answered(span, answer)
  span:set("gen_ai.response.id", answer.id)
  span:set("gen_ai.response.model", answer.model)
  span:set("gen_ai.usage.input_tokens", answer.input_tokens)
  span:set("gen_ai.usage.output_tokens", answer.output_tokens)
  span:set("gen_ai.response.finish_reasons", answer.finish_reasons)
end

local function messages(role, text, finish_reason)
  return function()
    local json = require "moongate.json"
    return json.encode(json.array { {
      role = role, parts = json.array { { type = "text", content = text } }, finish_reason = finish_reason,
    } })
  end
end

-- gen_ai.prompt(span, text) and gen_ai.completion(span, text, finish_reason): kept under --trace-content only.
function M.prompt(span, text)
  span:content("gen_ai.input.messages", messages("user", text))
end

function M.completion(span, text, finish_reason)
  span:content("gen_ai.output.messages", messages("assistant", text, finish_reason or "stop"))
end

return M
