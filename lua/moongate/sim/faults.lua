-- faults: rules that make the simulated gateway misbehave, by the flag --fault, a JSON file, or POST /__sim/faults.
-- A rule is a kind, what it matches, and how often it strikes: M.help says how.
local errors = require "moongate.error"
local json = require "moongate.json"
local merged = require "moongate.merged"
local rng = require "moongate.sim.rng"

local M = {}
M.__index = M

M.help = [[
A fault is a kind, what it matches and how often, separated by commas.

Kinds
  status=503        answer with that status; the request has no effect. Also
                    retry_after=SECONDS, retry_at=SECONDS (as an HTTP date),
                    body=html|empty. On /oauth/token, 429 becomes the login
                    host's own 400.
  latency=MS        wait, then continue
  late=MS           take effect, then wait before the answer
  close_before      close the connection before reading the body: no effect
  close_after       take effect, then close the connection without an answer
  half              take effect, send half of the answer, close the connection
  drip              send the answer in pieces of bytes=16, one every ms=100
  expire_tokens     expire all tokens, then continue

Matches (default: every request)
  method=PUT        this method
  path=/indexes/*   paths that end like this; * matches anything

Frequency (default: always)
  rate=0.05         with this probability, drawn from the seed
  nth=3             only the third match
  every=10          every tenth match
  times=2           at most twice

Examples
  status=503,rate=0.05,path=/indexes/*
  close_after,method=PUT,nth=1
  drip,bytes=1,ms=50
]]

local kinds = {
  status = true, latency = true, late = true, close_before = true, close_after = true, half = true, drip = true,
  expire_tokens = true,
}

local function integer(min, max)
  return function(v)
    v = math.type(v) == "float" and math.tointeger(v) or v
    if math.type(v) == "integer" and v >= min and v <= max then return v end
    return nil, ("an integer from %d to %d"):format(min, max)
  end
end

local function one_of(set, words)
  return function(v)
    if set[v] then return v end
    return nil, words
  end
end

local function text(v)
  if type(v) == "string" and v ~= "" then return v end
  return nil, "a string"
end

-- What a rule may say -> check(value) -> value | nil, what is wanted
local fields = {
  kind = one_of(kinds, "status, latency, late, close_before, close_after, half, drip or expire_tokens"),
  method = text,
  path = text,
  status = integer(200, 599),
  retry_after = integer(0, 86400),
  retry_at = integer(0, 86400),
  body = one_of({ json = true, html = true, empty = true }, "json, html or empty"),
  ms = integer(0, 3600000),
  bytes = integer(1, 1 << 30),
  rate = function(v)
    if type(v) == "number" and v >= 0 and v <= 1 then return v end
    return nil, "a number from 0 to 1"
  end,
  nth = integer(1, 1 << 53),
  every = integer(1, 1 << 53),
  times = integer(1, 1 << 53),
}

local function invalid(...)
  return nil, errors.new { code = "invalid", message = "fault: " .. string.format(...) }
end

-- latency=200 is kind=latency,ms=200; status=503 is kind=status,status=503.
local function imply_kind(rule)
  for _, kind in ipairs { "latency", "late" } do
    if rule[kind] ~= nil then
      rule.kind = rule.kind or kind
      rule.ms, rule[kind] = rule[kind], nil
    end
  end
  if rule.status ~= nil then rule.kind = rule.kind or "status" end
end

-- A rule as a table -> the same, checked and with its kind | nil, err naming every fault
local function normalise(given)
  local rule, wrong = {}, {}
  for name, value in pairs(given) do rule[name] = value end
  imply_kind(rule)
  for name, value in pairs(rule) do
    local check = fields[name]
    if not check then
      wrong[#wrong + 1] = ("unknown key '%s'"):format(tostring(name))
    else
      local v, wanted = check(value)
      if v == nil then wrong[#wrong + 1] = ("%s: %s expected, not '%s'"):format(name, wanted, tostring(value)) end
      rule[name] = v
    end
  end
  if not rule.kind and #wrong == 0 then wrong[1] = "a kind is missing: status=, latency=, close_before, ..." end
  if rule.kind == "status" and not rule.status then wrong[#wrong + 1] = "status= is missing" end
  if (rule.kind == "latency" or rule.kind == "late") and not rule.ms then wrong[#wrong + 1] = "ms= is missing" end
  if #wrong > 0 then
    table.sort(wrong)
    return invalid("%s", table.concat(wrong, "; "))
  end
  return rule
end

-- "status=503,rate=0.05,path=/indexes/*" -> rule | nil, err
function M.parse(spec)
  if type(spec) == "table" then return normalise(spec) end
  if type(spec) ~= "string" then return invalid("a rule is a string or a table, not a %s", type(spec)) end
  local rule = {}
  for part in (spec .. ","):gmatch "%s*(.-)%s*," do
    local name, value = part:match "^([%w_]+)%s*=%s*(.*)$"
    if name then
      if rule[name] ~= nil then return invalid("'%s' comes twice in '%s'", name, spec) end
      rule[name] = tonumber(value) or value
    elseif kinds[part] then
      if rule.kind then return invalid("two kinds in '%s'", spec) end
      rule.kind = part
    elseif part ~= "" then
      return invalid("'%s' is neither a kind nor key=value", part)
    end
  end
  return normalise(rule)
end

-- The text of a JSON file -> list of rules | nil, err. name: for messages
function M.parse_file(content, name)
  local value, err = json.decode(content)
  if value == nil then return nil, err end
  if type(value) ~= "table" then return invalid("%s: a rule, a list of rules or {\"rules\": [...]} is wanted", name) end
  local list = value.rules or (json.is_array(value) and value) or { value }
  if type(list) ~= "table" then return invalid("%s: rules is a list", name) end
  local rules = {}
  for i, given in ipairs(list) do
    local rule
    rule, err = M.parse(given)
    if not rule then
      err.message = ("%s: rule %d: %s"):format(name, i, err.message)
      return nil, err
    end
    rules[i] = rule
  end
  return rules
end

-- ---- the rules of one gateway ----

function M.new(seed)
  return setmetatable({ seed = seed, rules = {}, last_id = 0 }, M)
end

-- A glob as a Lua pattern that matches the end of a path.
local function pattern(glob)
  return (glob:gsub("%*+", "*"):gsub("[%^%$%(%)%%%.%[%]%+%-%?]", "%%%0"):gsub("%*", ".*")) .. "$"
end

-- -> the rule's id | nil, err
function M:add(given)
  local rule, err = M.parse(given)
  if not rule then return nil, err end
  self.last_id = self.last_id + 1
  self.rules[#self.rules + 1] = {
    id = self.last_id, rule = rule, matched = 0, fired = 0,
    pattern = rule.path and pattern(rule.path), method = rule.method and rule.method:upper(),
    rng = rng.new(self.seed + self.last_id, "fault"),
  }
  return self.last_id
end

-- id: a rule's, or nil for all -> how many went
function M:clear(id)
  local kept = {}
  for _, r in ipairs(self.rules) do
    if id and r.id ~= id then kept[#kept + 1] = r end
  end
  local gone = #self.rules - #kept
  self.rules = kept
  return gone
end

function M:restart()
  for _, r in ipairs(self.rules) do
    r.matched, r.fired, r.rng = 0, 0, rng.new(self.seed + r.id, "fault")
  end
end

function M:report()
  local list = {}
  for i, r in ipairs(self.rules) do
    local entry = merged({ id = r.id, matched = r.matched, fired = r.fired }, r.rule)
    list[i] = entry
  end
  return list
end

local function matches(r, req)
  return (not r.method or r.method == req.method) and (not r.pattern or req.path:find(r.pattern) ~= nil)
end

local function strikes(r)
  local rule = r.rule
  r.matched = r.matched + 1
  if rule.nth and r.matched ~= rule.nth then return false end
  if rule.every and r.matched % rule.every ~= 0 then return false end
  if rule.rate and r.rng:double() >= rule.rate then return false end
  if rule.times and r.fired >= rule.times then return false end
  r.fired = r.fired + 1
  return true
end

-- What befalls a request -> nil | { latency =, late = (ms), expire =, rule = the one that spoils the answer, kinds = }
function M:draw(req)
  local fate
  for _, r in ipairs(self.rules) do
    if matches(r, req) and strikes(r) then
      local rule = r.rule
      fate = fate or { latency = 0, late = 0, kinds = {} }
      fate.kinds[#fate.kinds + 1] = rule.kind
      if rule.kind == "latency" then
        fate.latency = fate.latency + rule.ms
      elseif rule.kind == "late" then
        fate.late = fate.late + rule.ms
      elseif rule.kind == "expire_tokens" then
        fate.expire = true
      else
        fate.rule = fate.rule or rule
      end
    end
  end
  return fate
end

return M
