-- What doctor says of the scopes that each job needs.
local t = require "moongate.test"
local auth = require "moongate.auth"
local httpd = require "moongate.httpd"
local scopes = require "moongate.cli.scopes"

local function job(name, overrides)
  for _, one in ipairs(scopes.jobs(nil, overrides)) do
    if one.name == name then return one end
  end
end

t.test("each job has its methods, paths and scopes", function()
  local required, missing, optional = scopes.judge(job "route-prompts")
  t.eq({ required, missing }, { { "ai:gateway:write", "ai:prompt:execute" }, {} })
  t.eq({ optional[1].scope, #optional }, { "ai:models:read", 1 })
  t.eq(#job "register-model".needs, 4)
  for _, one in ipairs(scopes.jobs()) do
    for _, need in ipairs(one.needs) do t.ok(need.path and need.scope and need.method, one.name) end
  end
end)

t.test("what is missing is known where the login host says what was granted", function()
  local _, missing = scopes.judge(job "route-prompts", "ai:prompt:execute other")
  t.eq(missing, { "ai:gateway:write" })
  _, missing = scopes.judge(job "register-model", "ai:llm-gateway:write ai:jobs:read")
  t.eq(missing, {})
end)

t.test("the project file's kinds count", function()
  local required = scopes.judge(job("deploy-index", { index = { scopes = { read = "r", write = "w" } } }))
  t.eq(required, { "r", "w" })
end)

t.test("the scopes of a token are told, when the login host says them", function()
  local answer = { access_token = "a-token-of-eighteen", expires_in = 600, scope = "one two" }
  local server <close> = assert(httpd.serve { handler = function() return { json = answer } end })
  local function mint()
    local handle = auth.client_credentials {
      client_id = "id", client_secret = "not-a-real-secret", login_url = server.url, origin = server.url,
    }
    return assert(auth.token(handle)).scope
  end
  t.eq(mint(), "one two")
  answer.scope = nil
  t.eq(mint(), nil)
end)
