-- tutorial_standin.lua - for tests: a small gateway as the tutorials describe it, with nothing that they don't: no hash
-- in a listing, no path of one version, weak ETags; and as gateways in other languages answer: ids that are numbers,
-- 64-bit times, null for an empty list, bytes that are not UTF-8.

local httpd = require "moongate.httpd"
local json = require "moongate.json"

local M = {}

local STAMP = "1796068869340511487"

-- Text of the answer: values that are strings of JSON already stay so.
local function body(fields)
  local parts = {}
  for name, value in pairs(fields) do
    parts[#parts + 1] = ("%q:%s"):format(name, type(value) == "string" and value or json.encode(value))
  end
  return "{" .. table.concat(parts, ",") .. ',"updatedAt":' .. STAMP .. ',"note":"caf\233 \\ud83d"}'
end

local function answer(status, text, headers)
  local all = { ["content-type"] = "application/json" }
  for name, value in pairs(headers or {}) do all[name] = value end
  return { status = status, headers = all, body = text }
end

local function missing() return answer(404, '{"message":"not found"}') end

-- ---- the resources ----

local function put_and_get(held, req, content_of)
  local path, now = req.path, held[req.path]
  local etag = now and ('W/"%d"'):format(now.version)
  if req.method == "GET" then
    return now and answer(200, content_of(now.text), { etag = etag }) or missing()
  end
  local wanted = req.headers["if-match"]
  if (wanted and not now) or (now and wanted and wanted ~= etag:sub(3)) or (now and req.headers["if-none-match"]) then
    return answer(412, '{"message":"stale"}')
  end
  held[path] = { text = req.body, version = (now and now.version or 0) + 1 }
  return answer(now and 200 or 201, body { id = 7 }, { etag = ('W/"%d"'):format(held[path].version) })
end

local function versions(self, req)
  local list = self.versions
  if req.method == "GET" then return answer(200, "[" .. table.concat(list, ",") .. "]") end
  for _, text in ipairs(list) do
    if json.decode(text).version == req:json().version then return answer(409, '{"message":"version exists"}') end
  end
  list[#list + 1] = req.body
  return answer(201, req.body)
end

local function registry(self, req)
  if req.method == "GET" then
    if #self.models == 0 then return answer(200, '{"entities":null}') end
    local parts = {}
    for i, model in ipairs(self.models) do parts[i] = json.encode { id = model.id, name = model.name } end
    return answer(200, '{"entities":[' .. table.concat(parts, ",") .. "]}")
  end
  self.models[#self.models + 1] = { id = #self.models + 1, name = req:json().name }
  return answer(202, self.silent and "accepted" or body { jobId = ("%d"):format(9007199254740992 + #self.models) })
end

local ROUTES = {
  { "/indexes/[^/]+$", function(self, req)
    return put_and_get(self.held, req, function(text)
      return ('{"configuration":%s,"at":%s}'):format(text, STAMP)
    end)
  end },
  { "/configuration$", function(self, req) return put_and_get(self.held, req, function(text) return text end) end },
  { "/versions$", versions },
  { "/llm%-gateway/models$", registry },
  { "^/api/v2/ai/models$", registry },
  { "/jobs/%d+$", function(self)
    return answer(200, body { status = ("%q"):format(self.job_status), result = { id = #self.models } })
  end },
  { "/health%-checks$", function(self) return answer(200, body { status = ("%q"):format(self.health) }) end },
  { "/chat/completions$", function(self)
    return answer(200, ('{"choices":[{"message":{"content":%q}}]}'):format(self.reply))
  end },
  { "^/api/v2/ai/models/[^/]+$", function()
    return answer(200, body { id = 1, capabilities = { max_context_window = 8192 } })
  end },
}

-- M.start(silent) -> {url, held, versions, models, requests = how many it got, job_status, health, reply = what it
-- says, stop()}. silent: a registration is accepted with no word of its job.
function M.start(silent)
  local self = {
    silent = silent, held = {}, versions = {}, models = {}, requests = 0,
    job_status = "COMPLETED", health = "HEALTHY", reply = "VALIDATION_SUCCESS",
  }
  local server = assert(httpd.serve { handler = function(req)
    self.requests = self.requests + 1
    for _, route in ipairs(ROUTES) do
      if req.path:find(route[1]) then return route[2](self, req) end
    end
    return missing()
  end })
  self.url = server.url
  function self.stop() server:stop() end
  return self
end

-- What it holds, to be compared.
function M.state(self)
  local held = {}
  for path, entry in pairs(self.held) do held[path] = json.decode(entry.text) end
  local out = { held = held, versions = {}, models = {} }
  for i, text in ipairs(self.versions) do out.versions[i] = json.decode(text) end
  for i, model in ipairs(self.models) do out.models[i] = model.name end
  return out
end

return M
