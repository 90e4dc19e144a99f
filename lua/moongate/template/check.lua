-- check.lua - whether a template's document is one that can be sent: schema, placeholders against variables, length,
-- tokens, split. For template.lua.

local diff = require "moongate.diff"
local documents = require "moongate.documents"
local json = require "moongate.json"
local merged = require "moongate.merged"
local placeholders = require "moongate.template.placeholders"
local suggest = require "moongate.suggest"

local M = {}

-- Limits, and what a project file may set instead (limits = { prompt_tokens = 1000 }).
M.LIMITS = {
  content_characters = 4096,
  prompt_tokens = 3800, -- estimated, of a template whose model's window is not said
  template_file_bytes = 1 << 20,
}

local CHARACTERS_PER_TOKEN = 4
local MAX_FAULTS = 100 -- of a content's placeholders that are told one by one

-- What a variable may be declared as; anything else is its default value.
M.TYPES = { string = true, number = true, integer = true, boolean = true }
local NEARLY = {
  str = "string", text = "string", int = "integer", float = "number", double = "number", bool = "boolean",
}

-- M.estimate(text) -> tokens, estimated at four characters each.
function M.estimate(text)
  return -(-utf8.len(text) // CHARACTERS_PER_TOKEN)
end

-- M.limits(opts) -> LIMITS, those of opts.limits in their place.
function M.limits(opts)
  local out = {}
  for name, value in pairs(M.LIMITS) do out[name] = opts.limits and opts.limits[name] or value end
  return out
end

-- ---- the rules that no schema can say ----

local function version_fault(text)
  local core, rest = text:match("^(%d+%.%d+%.%d+)(.*)$")
  if not core then return "must be a semantic version, MAJOR.MINOR.PATCH (1.4.0)" end
  if core:find("^0%d") or core:find("%.0%d") then return "must have no leading zeros: it is a semantic version" end
  local pre, build = rest:match("^%-([%w.-]+)(.*)$")
  rest = build or rest
  local meta = rest:match("^%+([%w.-]+)$")
  if rest ~= "" and not meta then return "must be a semantic version, MAJOR.MINOR.PATCH[-PRERELEASE][+BUILD]" end
  for _, part in pairs { pre or false, meta or false } do
    if part and (("." .. part .. "."):find("..", 1, true)) then return "has an empty part between its dots" end
  end
  for number in (pre or ""):gmatch("[^.]+") do
    if number:find("^0%d+$") then return "must have no leading zeros: it is a semantic version" end
  end
end

-- A fault of the content at a byte: its line and column in the file, or in a JSON file, where the content is one
-- string, in the content itself.
local function report_at(content, src, report, fault)
  local line, column = placeholders.position(content, fault.at)
  if src.content_line then
    report("/content", fault.message, { line = src.content_line + line - 1, column = column })
  else
    report("/content", ("line %d, column %d of the content: %s"):format(line, column, fault.message),
      { content_line = line, content_column = column })
  end
end

-- The placeholders of the content against the declared variables.
local function variable_faults(document, src, report)
  local content, declared = document.content, document.variables
  local found, faults = placeholders.scan(content)
  local used, names = {}, {}
  for _, f in ipairs(faults) do used[f.meant or f] = true end
  for name in pairs(documents.is_object(declared) and declared or {}) do names[#names + 1] = name end
  table.sort(names)
  for _, p in ipairs(documents.is_object(declared) and found or {}) do
    if declared[p.name] == nil and not used[p.name] then
      p.message = ("{{%s}} is not declared in variables%s"):format(p.name,
        #faults < MAX_FAULTS and suggest.hint(p.name, names) or "")
      faults[#faults + 1] = p
    end
    used[p.name] = true
  end
  table.sort(faults, function(a, b) return a.at < b.at end)
  for n = 1, math.min(#faults, MAX_FAULTS) do report_at(content, src, report, faults[n]) end
  if #faults > MAX_FAULTS then
    report("/content", ("has %d more errors in its placeholders"):format(#faults - MAX_FAULTS), {})
  end
  for _, name in ipairs(names) do
    local pointer = documents.pointer("/variables", name)
    if not placeholders.is_name(name) then
      report(pointer, "is not a name of a variable: letters, digits and _, not a digit first")
    elseif not used[name] then
      report(pointer, ("is declared, but the content has no {{%s}}"):format(name))
    end
  end
end

-- What --split or --variant lack when the file does not have it either.
local function flag_faults(trigger, opts, report)
  if opts.split and trigger.variantId == nil then
    report("/abTestingTrigger/variantId", "is missing: --split needs --variant, or the file says it")
  elseif opts.variant and trigger.trafficPercent == nil then
    report("/abTestingTrigger/trafficPercent", "is missing: --variant needs --split, or the file says it")
  end
end

-- A fraction as a whole percentage, or nil.
function M.whole_percent(fraction)
  local percent = math.floor(fraction * 100 + 0.5)
  return math.abs(fraction * 100 - percent) < 1e-9 and percent or nil
end

local function split_faults(trigger, report)
  local share, id = trigger.trafficPercent, trigger.variantId
  if type(share) == "number" and share > 1 and share <= 100 then
    report("/abTestingTrigger/trafficPercent", ("must be a fraction from 0 to 1 in spite of its name: %s for %s %%")
      :format(diff.show(share / 100), diff.show(share)))
  elseif type(share) == "number" and share >= 0 and share <= 1 and not M.whole_percent(share) then
    report("/abTestingTrigger/trafficPercent",
      ("must make a whole percentage, as the request's header does; %s is %g %%"):format(diff.show(share), share * 100))
  end
  if type(id) == "string" and id ~= "" and not id:find("^[A-Za-z0-9_.-]+$") then
    report("/abTestingTrigger/variantId", "must have letters, digits, _, . and - only")
  end
end

local function path_faults(document, report)
  for _, name in ipairs { "templateId", "version" } do
    local value = document[name]
    local fault = type(value) == "string" and value ~= "" and (name == "version" and version_fault(value)
      or name == "templateId" and documents.id_fault(value))
    if fault then report("/" .. name, fault) end
  end
end

-- The tokens that the template may have, and what sets that.
local function threshold_of(document, opts, limits, report)
  local metadata = documents.is_object(document.metadata) and document.metadata or {}
  local stated = metadata.maxContextWindow
  local window = type(stated) == "string" and stated:find("^[1-9]%d*$") and math.tointeger(tonumber(stated)) or nil
  if type(stated) == "string" and not window then
    report("/metadata/maxContextWindow", "must be a whole number of tokens, as a text: \"8192\"")
  end
  if opts.model_window then return opts.model_window, "the model's window" end
  if window then return window, "the model's window (metadata.maxContextWindow)" end
  return limits.prompt_tokens, "the threshold"
end

local function rules(document, src, opts, limits, report)
  path_faults(document, report)
  local threshold, why = threshold_of(document, opts, limits, report)
  if type(document.content) == "string" then
    variable_faults(document, src, report)
    local tokens = M.estimate(document.content)
    if tokens > threshold then
      report("/content", ("has an estimated %d tokens (%d characters), more than %s of %d"):format(tokens,
        utf8.len(document.content), why, threshold), {})
    end
  end
  if documents.is_object(document.abTestingTrigger) then
    split_faults(document.abTestingTrigger, report)
    flag_faults(document.abTestingTrigger, opts, report)
    if document.rollbackDirective == true and document.abTestingTrigger.enabled == true then
      report("/rollbackDirective", "and a split are two things: a rollback takes all the traffic")
    end
  end
  return threshold
end

local function warnings_of(document)
  local list = json.array {}
  for name, value in pairs(document.variables) do
    local meant = type(value) == "string" and not M.TYPES[value] and (NEARLY[value:lower()]
      or M.TYPES[value:lower()] and value:lower() or suggest.near(value, { "string", "number", "integer", "boolean" }))
    if meant then
      list[#list + 1] = ("variables.%s: %q is a default value; the type would be %q"):format(name, value, meant)
    end
  end
  table.sort(list)
  return list
end

-- ---- one template ----

-- The document as it is sent: what may be left out is filled in, and --split and --variant go before what it says.
local function completed(document, opts)
  if not documents.is_object(document) then return document end
  local out = merged(document)
  if out.rollbackDirective == nil then out.rollbackDirective = false end
  if out.variables == nil then out.variables = {} end
  if opts.split or opts.variant then
    local trigger = documents.is_object(out.abTestingTrigger) and out.abTestingTrigger or {}
    out.abTestingTrigger = {
      enabled = true, trafficPercent = opts.split or trigger.trafficPercent,
      variantId = opts.variant or trigger.variantId,
    }
  end
  return out
end

-- M.source(src, {limits, model_window, split, variant}) -> template; or nil, faults. src: as source.lua reads it.
function M.source(src, opts)
  local document, limits, threshold = completed(src.document, opts), M.limits(opts), nil
  local valid, faults = documents.check(document, {
    schema = "template", what = "a template", pointers = { content_characters = "/properties/content/maxLength" },
    limits = limits, place = src.place,
    rules = function(_, report) threshold = rules(document, src, opts, limits, report) end,
  })
  if not valid then return nil, faults end
  return {
    file = src.file, document = document, threshold = threshold, warnings = warnings_of(document),
    characters = utf8.len(document.content), estimated_tokens = M.estimate(document.content),
  }
end

return M
