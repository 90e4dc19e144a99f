-- doctor.lua - `moongate doctor`: looks at everything a run depends on and says what is missing. Reads only, but for
-- one token request.
--
-- A finding is {check, status = "ok" | "warn" | "FAIL", message, hint, err}.
local exit_status = require "moongate.exit_status"
local fail = require "moongate.fail"
local host = require "moongate.host"
local count = require("moongate.text").count
local time = require "moongate.time"

local M = {}

local SKEW_WARN, SKEW_FAIL = 30, 300 -- seconds
local PROBE_DEADLINE = 10

local Findings = {}
Findings.__index = Findings

function Findings:add(status, check, message, hint, err)
  self[#self + 1] = { status = status, check = check, message = message, hint = hint, err = err }
end

function Findings:ok(check, format, ...) self:add("ok", check, format:format(...)) end
function Findings:warn(check, message, hint) self:add("warn", check, message, hint) end
function Findings:fail(check, err, hint) self:add("FAIL", check, err.message, err.hint or hint, err) end

-- ---- the checks ----

local function project(found)
  local p = host.project()
  if p.error then return found:fail("project file", p.error) end
  if not p.path then return found:ok("project file", "none (moongate.lua); defaults are used") end
  for _, fault in ipairs(p.faults) do
    found:fail("project file", { code = "invalid", message = ("%s: %s"):format(fail.place(fault), fault.message) })
  end
  if #p.faults == 0 then found:ok("project file", "%s", p.path) end
end

-- Whether the folder's permissions and workflows count: its user has to have allowed it on this machine.
local function folder(found)
  local p = host.project()
  local workflows = host.access "workflows" ~= nil
  if p.error or not (p.path or workflows) then return end
  local dir = p.dir or "."
  if (not p.path or p.allowed) and (not workflows or host.folder_allowed()) then
    return found:ok("folder", "%s is allowed on this machine", dir)
  end
  found:warn("folder", p.changed and ("%s has changed since its folder was allowed: its permissions and ./workflows "
    .. "are not used"):format(p.path) or ("%s was never allowed on this machine: its permissions and ./workflows are "
    .. "not used"):format(dir), ("Read what is in it, then run: moongate allow %s"):format(dir))
end

local NAMES = {
  region = "region", login_url = "login URL", client_id = "client id", client_secret = "client secret",
  access_token = "access token",
}

-- True when there is a way in.
local function credentials(found)
  local c = host.credentials()
  for _, warning in ipairs(c.warnings) do found:warn("credentials", warning) end
  if c.error then
    found:fail("credentials", c.error, "Correct the value in the source named above.")
    return false
  end
  local has = {}
  for _, field in ipairs(c.fields) do
    has[field.name] = true
    if NAMES[field.name] and field.source ~= "default" then
      found:ok(NAMES[field.name], "%s, from %s", field.shown, field.origin)
    end
  end
  if has.access_token or (has.client_id and has.client_secret) then return true end
  local missing = has.client_id and "client secret" or has.client_secret and "client id" or "credentials"
  found:fail("credentials", { code = "unauthorized", message = "no " .. missing },
    "Set GENESYSCLOUD_OAUTHCLIENT_ID and GENESYSCLOUD_OAUTHCLIENT_SECRET, write ~/.gc/config.toml, or try --sim.")
  return false
end

-- The CAs that certificates are held against, in words.
local function trusted()
  local parts = { host.options().cacert }
  for _, name in ipairs { "SSL_CERT_FILE", "SSL_CERT_DIR" } do
    local value = host.getenv(name) or ""
    if value ~= "" then parts[#parts + 1] = name .. "=" .. value end
  end
  if not (host.getenv "SSL_CERT_FILE" and host.getenv "SSL_CERT_DIR") then parts[#parts + 1] = "the system's CAs" end
  return table.concat(parts, " and ")
end

-- Statuses that say nothing against the host, which is asked for a path that it need not have. A 400 may be about a
-- client certificate; what comes back through a proxy may be the proxy's own refusal.
local function harmless(url)
  local route, statuses = host.route(url), {}
  local may_be_proxy = route and route.proxy and url:find "^http:"
  for status = 300, 599 do
    local gate = status == 403 or (status >= 502 and status <= 504)
    if status ~= 400 and status ~= 407 and not (gate and may_be_proxy) then statuses[#statuses + 1] = status end
  end
  return statuses
end

-- Which way requests to the hosts leave this machine, and why.
local function routes(found, urls)
  local said, shown = {}, {}
  for _, url in ipairs(urls) do
    local name = url:match "^%a+://([^/?#]+)" or url
    local route, err = host.route(url)
    if not route then
      found:fail("proxy", err, "Correct the URL.")
    elseif route.error then
      return found:fail("proxy", route.error, "Correct that variable, or unset it.")
    elseif not said[name] then
      said[name] = true
      shown[#shown + 1] = route.proxy and ("%s through %s (from %s)"):format(name, route.proxy, route.why)
        or ("%s direct (%s)"):format(name, route.why)
    end
  end
  if #shown > 0 then found:ok("proxy", "%s", table.concat(shown, "; ")) end
end

-- One request to a host: that it can be reached, over TLS where it says https, and its clock.
local function probe(found, what, url)
  local http = require "moongate.http"
  local client = http.client { base_url = url, retry = false, deadline = PROBE_DEADLINE }
  local sent = time.now()
  local response, err = client:get("/", { ok_status = harmless(url) })
  if not response and err.status == 400 and not err.message:find "certificate" and not err.message:find "TLS" then
    return found:ok(what, "%s answers (status 400 for /)", url)
  elseif not response then
    local hosts_of = require "moongate.hosts"
    if hosts_of.is_unresolved(err) then err.hint = hosts_of.hint() end
    return found:fail(what, err, "Check the host name, the port and the proxy.")
  end
  local tls = (", TLS 1.2 or later, certificate verified by %s"):format(trusted())
  local limit = client:stats().limit
  local left = limit and (", %d%s requests left in its rate limit"):format(limit.left,
    limit.allowed and " of " .. limit.allowed or "") or ""
  found:ok(what, "%s answers in %.0f ms%s%s", url, response.elapsed * 1000,
    url:find("^https:") and tls or " (no TLS)", left)
  return response.headers["Date"], (sent + time.now()) / 2
end

-- That a receiver of messages can be reached, over TLS where it says https. Nothing is sent: a request that it does not
-- expect may be an alarm there.
local function connects(found, what, url)
  local http = require "moongate.http"
  local client = http.client { base_url = url, retry = false, deadline = PROBE_DEADLINE }
  local response, err = client:get("/", { connect_only = true })
  if not response then
    err.hint = "Check the webhook's URL in the project file, and the proxy."
    return found:fail(what, err)
  end
  found:ok(what, "%s can be connected to%s", url,
    url:find("^https:") and (", TLS 1.2 or later, certificate verified by %s"):format(trusted()) or " (no TLS)")
end

local MONTHS = {
  Jan = 1, Feb = 2, Mar = 3, Apr = 4, May = 5, Jun = 6, Jul = 7, Aug = 8, Sep = 9, Oct = 10, Nov = 11, Dec = 12,
}

-- "Fri, 20 Nov 2026 08:34:52 GMT" -> seconds, or nil.
local function http_time(text)
  local day, month, year, clock = text:match("^%a+, (%d+) (%a+) (%d+) (%d+:%d+:%d+) GMT$")
  return day and MONTHS[month] and time.parse(("%s-%02d-%sT%sZ"):format(year, MONTHS[month], day, clock))
end

local function clock(found, date, at)
  local theirs = date and http_time(date)
  if not theirs then return found:warn("clock", "the gateway sent no Date to compare with") end
  local skew = at - theirs - 0.5 -- Date has whole seconds, cut off
  local message = ("%.0f s %s the gateway's"):format(math.abs(skew), skew < 0 and "behind" or "ahead of")
  local hint = "Set this machine's clock (NTP): webhook signatures and audit times depend on it."
  if math.abs(skew) >= SKEW_FAIL then
    found:fail("clock", { code = "invalid", message = message }, hint)
  elseif math.abs(skew) >= SKEW_WARN then
    found:warn("clock", message, hint)
  else
    found:ok("clock", "within %d s of the gateway's", math.max(1, math.ceil(math.abs(skew))))
  end
end

-- list, and the origin of each webhook of the project file that is not in it.
local function receivers(list)
  local seen, names, hooks = {}, {}, host.project().data.webhooks or {}
  for _, url in ipairs(list) do seen[url] = true end
  for name in pairs(hooks) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local origin = type(hooks[name].url) == "string" and hooks[name].url:match "^%a+://[^/?#]+"
    if origin and not seen[origin] then
      seen[origin] = true
      list[#list + 1] = origin
    end
  end
  return list
end

-- -> whether the login host answers
local function hosts(found)
  local info = require("moongate.auth").info()
  found:ok("gateway", "%s", require("moongate.hosts").origin())
  routes(found, receivers { info.api_url, info.login_url })
  local date, at = probe(found, "API host", info.api_url)
  local reached = #found
  if info.login_url ~= info.api_url then probe(found, "login host", info.login_url) end
  reached = found[math.max(reached, #found)].status == "ok"
  if date or at then clock(found, date, at) end
  if not host.options().sim then
    for _, url in ipairs(receivers {}) do
      if not host.plain_http(url) then connects(found, "webhook host", url) end
    end
  end
  return reached
end

local function parent(path) return path:match("^(.*)/[^/]+/?$") or "." end

local function state(found)
  local s = host.state()
  if s.error then
    return found:fail("state folder", s.error, "give --state a folder, sqlite:FILE or postgres://HOST/DATABASE")
  end
  local there = host.access(s.dir)
  if there and not (there.writable and there.folder) then
    found:fail("state folder", { code = "io", message = s.dir .. " can't be written" }, "check its owner and mode")
  elseif there and there.mode & 63 ~= 0 then -- 077: group and others
    found:warn("state folder", ("%s is open to other users (mode %o)"):format(s.dir, there.mode), "chmod 700 " .. s.dir)
  elseif there then
    found:ok("state folder", "%s", s.dir)
  else
    local above = s.dir
    repeat above = parent(above) until host.access(above) or above == "" or above == "."
    local writable = host.access(above == "" and "/" or above)
    if writable and writable.writable and writable.folder then
      found:ok("state folder", "%s (created when first needed)", s.dir)
    else
      found:fail("state folder", { code = "io", message = s.dir .. " can't be made" }, "Set --state or XDG_STATE_HOME.")
    end
  end
end

-- What runs, leases and messages are kept in. A file that is not there yet is not made for this.
local function state_store(found)
  local s = host.state()
  local file = s.store and s.store:match "^sqlite:(.+)"
  if s.error then return end
  if file == ":memory:" then return found:ok("state", "in memory, gone with the process") end
  if file and not host.access(file) and not host.access(file .. "-wal") then
    return found:ok("state", "%s (created when first needed)", file)
  end
  local db, err = require("moongate.store").session()
  local hint = file and "give --state another place, or restore this one" or "check that the server runs, and ~/.pgpass"
  if not db then return found:fail("state", err, hint) end
  local rows
  rows, err = db:exec "SELECT count(*) AS runs FROM runs"
  if not rows then return found:fail("state", err, hint) end
  found:ok("state", "%s, %s", file or s.store, count(rows[1].runs, "run"))
  local mode = file and host.access(file).mode & 63 -- 077: group and others
  if file and mode ~= 0 then found:warn("state", file .. " is open to other users", "chmod 600 " .. file) end
  return db
end

-- What webhooks were not told, and will not be.
local function outbox(found, db)
  local counts, pending = require("moongate.queue.kinds.message").counts(db)
  if counts.dead > 0 then
    found:warn("outbox", ("%d webhook message%s dead, %d pending"):format(counts.dead,
      counts.dead == 1 and " is" or "s are", pending), "moongate queue list; then queue retry, or drop")
  elseif pending > 0 then
    found:ok("outbox", "%s pending", count(pending, "webhook message"))
  end
end

local function audit_log(found)
  local path = host.state().audit
  if not host.access(path) then return found:ok("audit log", "%s (nothing logged yet)", path) end
  local r, err = require("moongate.audit").verify(path)
  if not r then return found:fail("audit log", err) end
  local verdict = require("moongate.cli.audit").verdict(path, r)
  if r.torn then
    found:warn("audit log", verdict, "a crash cut the last line short; the next event sets it aside")
  elseif r.first_bad then
    found:fail("audit log", { code = "corrupt", message = verdict }, "moongate audit verify says more")
  else
    found:ok("audit log", "%s", verdict)
  end
end

-- Whether checkpoints can be signed, and where they go.
local function checkpoints(found)
  local p = host.project()
  local settings = p.data and p.data.audit
  if not settings or not (settings.origin or settings.key or settings.key_file or settings.to) then return end
  local ok, key = pcall(require("moongate.cli.checkpoints").key, settings)
  if not ok then return found:fail("checkpoints", key) end
  found:ok("checkpoints", "signed as %s", key:vkey())
  for _, to in ipairs(settings.to or {}) do
    local hook = to:match "^webhook:(.*)$"
    local path = to:sub(1, 1) == "/" and to or ("%s/%s"):format(p.dir or ".", to)
    local access = not hook and host.access(path)
    if hook and not (p.data.webhooks or {})[hook] then
      found:fail("checkpoints", { code = "invalid", message = "audit.to: the project file has no webhook " .. hook })
    elseif not hook and not (access and access.folder) then
      found:fail("checkpoints", { code = "not_found", message = path .. " is not a folder" }, "mkdir -p " .. path)
    elseif not hook and not access.writable then
      found:fail("checkpoints", { code = "denied", message = path .. " can't be written to" })
    end
  end
end

-- A host that is away is not asked again: a token request is retried for half a minute.
local function token(found, reached)
  local auth = require "moongate.auth"
  local gateway, err = auth.gateway()
  local got
  if gateway and not reached and auth.info().source.access_token == nil then
    return found:fail("token", { code = "connect", message = "not requested" },
      "see to the login host first: it was not reached, or could not answer")
  end
  if gateway then got, err = auth.token(gateway, PROBE_DEADLINE) end
  if not got then
    -- a connection that failed is what the login host's own line is about
    if err.code ~= "tls" and err.code ~= "unauthorized" then err.hint = nil end
    return found:fail("token", err, err.code == "unauthorized"
      and "check the client and its secret, and that the region is theirs"
      or "see to the login host first: it was not reached, or could not answer")
  end
  found.granted = got.scope
  if got.source == "given" then return found:ok("token", "given by the user; not checked") end
  local left = got.expires_at and (", valid for %d s"):format(math.floor(got.expires_at - time.now())) or ""
  found:ok("token", "minted%s", left)
end

-- What each job needs of the gateway, held against what the token was granted, where the login host says so.
local function jobs(found)
  local scopes = require "moongate.cli.scopes"
  local declared = (host.project().data or {}).gateway or {}
  local ok, list = pcall(scopes.jobs, declared.dialect, declared.kinds)
  if not ok then return found:fail("jobs", list) end
  for _, job in ipairs(list) do
    local required, missing, optional = scopes.judge(job, found.granted)
    local message = ("needs %s"):format(table.concat(required, ", "))
    for _, one in ipairs(optional) do message = ("%s; without %s: %s"):format(message, one.scope, one.without) end
    if #missing > 0 then
      found:warn(job.name, ("lacks %s (%s)"):format(table.concat(missing, ", "), message),
        "Grant the OAuth client these scopes.")
    else
      found:ok(job.name, "%s", message)
    end
    found[#found].needs = job.needs
  end
end

-- What is wrong with a webhook -> faults, warnings: its key can't be used; it can be forged, or read on the way.
local function look_at(name, hook)
  local profile = require "moongate.webhooks.profile"
  local style, faults, warnings = hook.profile or "standard", {}, {}
  for _, u in ipairs(require("moongate.cli.settings").unset(hook, "webhooks." .. name)) do
    faults[#faults + 1] = ("%s: %s is not set in the environment"):format(u.path, u.name)
  end
  if not hook.secret then
    warnings[#warnings + 1] = name .. " is not signed"
  elseif #faults == 0 then
    local headers, err = profile.headers(style, hook.secret, profile.new_id(style), 0, "")
    if not headers then faults[1] = ("webhooks.%s.secret: %s"):format(name, err.message) end
  end
  if host.plain_http(hook.url) then
    faults[#faults + 1] = ("%s goes over plain HTTP to another machine, and nothing is sent so; use https://, or"
      .. " --allow-http=HOST"):format(name)
  elseif not hook.url:find "^https:" and not host.is_loopback(hook.url) then
    warnings[#warnings + 1] = name .. " goes over plain HTTP"
  end
  return faults, warnings
end

local function webhooks(found)
  local hooks, names, warnings, shown, good = host.project().data.webhooks or {}, {}, {}, {}, true
  for name in pairs(hooks) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do
    local faults, more = look_at(name, hooks[name])
    for _, message in ipairs(faults) do
      found:fail("webhooks", { code = "invalid", message = message }, "Set the variable, or correct the project file.")
      good = false
    end
    table.move(more, 1, #more, #warnings + 1, warnings)
    local profile = hooks[name].profile or "standard"
    shown[i] = profile ~= "standard" and ("%s (%s)"):format(name, profile) or name
  end
  if #warnings > 0 then
    found:warn("webhooks", table.concat(warnings, ", "),
      "give it a secret and an https URL, or its receiver must trust all")
  elseif good and #names > 0 then
    found:ok("webhooks", "signed: %s", table.concat(shown, ", "))
  end
end

local function walls(found)
  local version = host.landlock()
  found:ok("permissions", version > 0 and "Landlock (version %d) backs the file rules of scripts"
    or "this kernel has no Landlock: the file rules of scripts are kept by moongate alone", version)
end

-- ---- the command ----

function M.check()
  local found = setmetatable({}, Findings)
  project(found)
  folder(found)
  local can_enter = credentials(found)
  if not host.credentials().error then
    local reached = hosts(found)
    if can_enter then token(found, reached) end
    jobs(found)
  end
  state(found)
  local db = state_store(found)
  audit_log(found)
  checkpoints(found)
  webhooks(found)
  if db then outbox(found, db) end
  walls(found)
  return found
end

local COLORS = { ok = "green", warn = "yellow", FAIL = "red" }

local function lines(ctx, found)
  local out = {}
  for _, f in ipairs(found) do
    local verdict = ctx:paint(1, COLORS[f.status], ("%-4s"):format(f.status))
    out[#out + 1] = ("%s  %-13s  %s"):format(verdict, f.check, f.message)
    for _, need in ipairs(f.needs or {}) do
      out[#out + 1] = ("%s%-4s %s%s"):format((" "):rep(21), need.method, need.path,
        need.scope and ("  (%s)"):format(need.scope) or "")
    end
    if f.hint then out[#out + 1] = (" "):rep(21) .. "hint: " .. f.hint end
  end
  return table.concat(out, "\n")
end

function M.run(ctx)
  local found = M.check()
  local document, status = {}, exit_status.DONE
  for i, f in ipairs(found) do
    document[i] = { check = f.check, status = f.status, message = f.message, hint = f.hint, needs = f.needs }
    if f.status == "FAIL" and status == exit_status.DONE then
      status = exit_status.of(f.err)
      document[i].code = f.err.code
    end
  end
  local findings = require("moongate.json").array(document)
  ctx:result({ ok = status == exit_status.DONE, findings = findings }, lines(ctx, found))
  return status
end

return M
