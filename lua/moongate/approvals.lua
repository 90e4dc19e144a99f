-- approvals.lua - approvals of a plan: signed notes in the plan file's member `approvals`. For `moongate approve` and
-- for what applies a plan.
--
-- A plan file is one JSON object: `id`, "sha256:" and the SHA-256 of the canonical JSON (RFC 8785) of its member
-- `plan`; `plan`; `approvals`, a list of notes. What is signed is four lines: "moongate plan", the id, gateway and
-- counts, when it expires. So a note counts for that plan alone.

local errors = require "moongate.error"
local hash = require "moongate.hash"
local host = require "moongate.host"
local json = require "moongate.json"
local note = require "moongate.note"
local time = require "moongate.time"

local M = {}

local FILE_MAX = 64 << 20

local function raise(code, hint, format, ...)
  errors.raise { code = code, message = format:format(...), hint = hint }
end

-- M.read(path) -> the plan file's document. Raises "parse", or "verify" when its id is not that of its plan.
function M.read(path)
  local text, err = host.fs.read(path, FILE_MAX)
  if not text then error(err, 0) end
  local document = json.decode(text)
  if type(document) ~= "table" or type(document.plan) ~= "table" or type(document.id) ~= "string" then
    raise("parse", "moongate plan --out FILE writes one", "%s is not a plan", path)
  end
  local digest = hash.payload(document.plan)
  if not digest or document.id ~= "sha256:" .. digest then
    raise("verify", "Make a new plan.", "%s: the plan was changed: its id is %s, and should be sha256:%s", path,
      document.id:sub(1, 80), tostring(digest))
  end
  if document.approvals ~= nil and type(document.approvals) ~= "table" then
    raise("parse", nil, "%s: approvals is not a list", path)
  end
  return document
end

-- M.counts(plan) -> "1 create 1 update 0 delete"
function M.counts(plan)
  local counts = { create = 0, update = 0, delete = 0 }
  for _, change in ipairs(plan.resource_changes or {}) do
    for _, action in ipairs((change.change or {}).actions or {}) do
      if counts[action] then counts[action] = counts[action] + 1 end
    end
  end
  return ("%d create %d update %d delete"):format(counts.create, counts.update, counts.delete)
end

-- The first three lines.
local function head(document)
  local gateway = document.plan.gateway
  if type(gateway) ~= "string" or gateway:find "[%s%c]" then
    raise("parse", nil, "the plan does not say its gateway")
  end
  return ("moongate plan\n%s\n%s %s\n"):format(document.id, gateway, M.counts(document.plan))
end

-- M.text(document, expires) -> what is signed. expires: seconds since 1970
function M.text(document, expires)
  return ("%sexpires %s\n"):format(head(document), time.iso(math.floor(expires)):gsub("%.%d+Z$", "Z"))
end

-- M.append(path, key, expires) -> the note. Adds it to the plan file, which is read again for that.
function M.append(path, key, expires)
  local document = M.read(path)
  local signed, err = note.sign(key, M.text(document, expires))
  if not signed then error(err, 0) end
  local list = document.approvals or {}
  list[#list + 1] = signed
  document.approvals = json.array(list)
  local text
  text, err = json.encode(document)
  if not text then error(err, 0) end
  local ok
  ok, err = host.fs.write(path, text .. "\n", { mode = 384 }) -- 0600
  if not ok then error(err, 0) end
  return signed
end

-- How many keys a plan needs.
local function needed(document, settings)
  local need = settings.need or 1
  for _, change in ipairs(document.plan.resource_changes or {}) do
    if type(change.undo) == "table" and change.undo.possible == false then
      return math.max(need, settings.irreversible or need)
    end
  end
  return need
end

-- The keys' ids that a note of the plan is signed with and that are not expired; or none, and why.
local function signers(text, document, settings, now)
  local signed, names = note.verify(text, settings.keys)
  if not signed then return {}, names.message end
  local first = head(document)
  local expires = signed:sub(1, #first) == first and signed:sub(#first + 1):match "^expires (%d%d%d%d%-[%d:TZ-]+)\n$"
  if not expires then return {}, "it is of another plan" end
  local at = time.parse(expires)
  if not at or at <= now then return {}, "it expired at " .. expires end
  local ids = {}
  for i, vkey in ipairs(settings.keys) do -- by key, not by name: a name may have two keys
    local ok = note.verify(text, { vkey })
    if ok then ids[#ids + 1] = settings.keys[i]:match "^([^+]*%+[^+]*)%+" end
  end
  return ids
end

-- M.check(document, settings [, now]) -> ids ("NAME+ID") of the keys that approve it, sorted. settings: the project
-- file's field `approvals`; nil: nothing is needed. Raises "denied" (exit status 7), naming what is missing.
function M.check(document, settings, now)
  if not settings then return {} end
  now = now or time.now()
  local found, why, ids = {}, {}, {}
  for i, text in ipairs(document.approvals or {}) do
    local list, reason = signers(tostring(text), document, settings, now)
    for _, id in ipairs(list) do found[id] = true end
    if reason then why[#why + 1] = ("approval %d does not count: %s"):format(i, reason) end
  end
  for id in pairs(found) do ids[#ids + 1] = id end
  table.sort(ids)
  local need = needed(document, settings)
  if #ids >= need then return ids end
  raise("denied", "moongate approve PLAN --key-file FILE",
    "the plan needs approvals by %d different keys and has %d%s%s", need, #ids,
    #ids > 0 and " (" .. table.concat(ids, ", ") .. ")" or "", #why > 0 and "; " .. table.concat(why, "; ") or "")
end

return M
