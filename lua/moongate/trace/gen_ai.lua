-- gen_ai.lua - calls of a model as OpenTelemetry's generative AI conventions name them, version 1.37.0:
-- https://github.com/open-telemetry/semantic-conventions/blob/v1.37.0/docs/gen-ai/gen-ai-spans.md. The one place that
-- knows the names, so that another version is a change of this file. Scripts reach it as run:model_call.

local json = require "moongate.json"
local trace = require "moongate.trace"

local M = {}

-- ---- what fn gets ----

local Call = {}
local CallMeta = { __index = Call }

-- call:answered{id, model, input_tokens, output_tokens, finish_reasons = list}: what is known of the answer.
function Call:answered(answer)
  local span = self.span
  span:set("gen_ai.response.id", answer.id)
  span:set("gen_ai.response.model", answer.model)
  span:set("gen_ai.usage.input_tokens", answer.input_tokens)
  span:set("gen_ai.usage.output_tokens", answer.output_tokens)
  span:set("gen_ai.response.finish_reasons", answer.finish_reasons)
end

local function message(role, text, finish_reason)
  return function()
    return json.encode(json.array { {
      role = role, parts = json.array { { type = "text", content = text } }, finish_reason = finish_reason,
    } })
  end
end

-- call:prompt(text), call:completion(text [, finish_reason]): kept under --trace-content only.
function Call:prompt(text)
  self.span:content("gen_ai.input.messages", message("user", text))
end

function Call:completion(text, finish_reason)
  self.span:content("gen_ai.output.messages", message("assistant", text, finish_reason or "stop"))
end

-- call:set(name, value): any other attribute.
function Call:set(name, value)
  self.span:set(name, value)
end

-- call:failed(reason): no answer; a code or a status.
function Call:failed(reason)
  self.span:fail(reason)
end

local function nothing() end
local NO_CALL = { answered = nothing, prompt = nothing, completion = nothing, set = nothing, failed = nothing }

-- ---- a call ----

-- gen_ai.call(what, fn) -> what fn(call) returns; a span "chat <model>" of kind client. what: {model, provider,
-- operation = "chat", temperature, top_p, max_tokens}
function M.call(what, fn)
  if not trace.on() then return fn(NO_CALL) end
  local operation = what.operation or "chat"
  return trace.span(operation .. " " .. tostring(what.model), {
    ["gen_ai.operation.name"] = operation, ["gen_ai.provider.name"] = what.provider or "custom",
    ["gen_ai.request.model"] = what.model, ["gen_ai.request.temperature"] = what.temperature,
    ["gen_ai.request.top_p"] = what.top_p, ["gen_ai.request.max_tokens"] = what.max_tokens,
  }, function(span) return fn(setmetatable({ span = span }, CallMeta)) end, "client")
end

return M
