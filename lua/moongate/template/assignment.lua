-- assignment.lua - which variant of an experiment a subject gets: the same one every time and on every machine, and
-- kept when a split grows. docs/ab-assignment.md has the algorithm and test vectors for other clients. For
-- template.lua.
--
-- A subject falls into one of 10,000 buckets by a hash; a split hands buckets out from 0 up, segment by segment.
-- Buckets that no segment takes are the control's.

local hash = require "moongate.hash"
local json = require "moongate.json"

local M = {}

local BUCKETS = 10000

-- M.bucket(experiment, subject) -> 0 … 9999: the first 32 bits of SHA-256(experiment, NUL, subject), scaled down.
function M.bucket(experiment, subject)
  return (tonumber(hash.sha256(experiment .. "\0" .. subject):sub(1, 8), 16) * BUCKETS) >> 32
end

-- A share as a number of buckets; raises for what is no multiple of one.
local function buckets_of(variant, share)
  if type(share) == "string" then
    local percent = share:match("^(%d+%.?%d*)%%$")
    share = percent and tonumber(percent) / 100 or share
  end
  if type(share) ~= "number" or not (share >= 0 and share <= 1) then
    error(("the share of '%s' must be a fraction from 0 to 1, or a text such as \"20%%\""):format(variant), 0)
  end
  local n = math.floor(share * BUCKETS + 0.5)
  if math.abs(share * BUCKETS - n) > 1e-6 then
    error(("the share of '%s' must be a multiple of 0.01 %%"):format(variant), 0)
  end
  return n
end

local function add(segments, variant, n)
  if type(variant) ~= "string" or not variant:find("^[A-Za-z0-9_.-]+$") then
    error(("'%s' is not a variant id: letters, digits, _, . and - only"):format(tostring(variant)), 0)
  end
  local last = segments[#segments]
  if last and last[1] == variant then last[2] = last[2] + n else segments[#segments + 1] = { variant, n } end
  segments.total = segments.total + n
end

-- Any form of a split -> list of {variant, buckets}, with total.
local function segments_of(split)
  local segments = { total = 0 }
  if type(split) ~= "table" then error("a split is a table", 0) end
  if split.variantId ~= nil then -- a template's abTestingTrigger
    if split.enabled then add(segments, split.variantId, buckets_of(split.variantId, split.trafficPercent)) end
  elseif split[1] ~= nil or json.is_array(split) then
    for _, segment in ipairs(split) do
      if type(segment) ~= "table" then error("a segment is {variant, share}", 0) end
      add(segments, segment[1], buckets_of(tostring(segment[1]), segment[2]))
    end
  else
    local names = {}
    for name in pairs(split) do names[#names + 1] = name end
    table.sort(names)
    for _, name in ipairs(names) do add(segments, name, buckets_of(name, split[name])) end
  end
  if segments.total > BUCKETS then error("the shares make more than the whole", 0) end
  return segments
end

local function checked(fn, what, ...)
  local ok, result = pcall(fn, ...)
  if not ok then error(("%s: %s"):format(what, result), 3) end
  return result
end

-- template.variant(experiment, subject, split) -> variant, bucket. variant is nil for the control: the live version.
-- experiment, subject: strings, the first without a NUL. split is one of
--   {b = 0.2}                          a variant and its share: a fraction, or "20%"
--   {{"b", 0.1}, {"c", 0.1}}           segments, handed out in this order
--   {enabled, trafficPercent, variantId}   a template's abTestingTrigger
-- Growing the share of the last segment, or adding segments, moves subjects from the control only.
function M.variant(experiment, subject, split)
  if math.type(subject) == "integer" then subject = ("%d"):format(subject) end
  if type(experiment) ~= "string" or experiment == "" or experiment:find("\0", 1, true) then
    error("template.variant: the experiment must be a text without NUL", 2)
  end
  if type(subject) ~= "string" or subject == "" then error("template.variant: the subject must be a text", 2) end
  local segments = checked(segments_of, "template.variant", split)
  local bucket, edge = M.bucket(experiment, subject), 0
  for _, segment in ipairs(segments) do
    edge = edge + segment[2]
    if bucket < edge then return segment[1], bucket end
  end
  return nil, bucket
end

-- template.grow(split, variant, share) -> a split, as segments, in which the variant has that share in all: the buckets
-- it lacks are taken from the control, and nobody else moves. A share can't shrink this way.
function M.grow(split, variant, share)
  local segments = checked(segments_of, "template.grow", split)
  local has, list = 0, json.array {}
  for _, segment in ipairs(segments) do has = has + (segment[1] == variant and segment[2] or 0) end
  local wanted = checked(buckets_of, "template.grow", tostring(variant), share)
  if wanted < has then error(("template.grow: '%s' has more than that already"):format(variant), 2) end
  checked(function()
    add(segments, variant, wanted - has)
    if segments.total > BUCKETS then error("the shares make more than the whole", 0) end
  end, "template.grow")
  for i, segment in ipairs(segments) do list[i] = json.array { segment[1], segment[2] / BUCKETS } end
  return list
end

return M
