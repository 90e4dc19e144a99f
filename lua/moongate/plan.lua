-- plan.lua - plans: what has to be written so that the gateway holds what the files say, as a document that can be
-- reviewed, approved and applied later. For the workflows plan and apply.
--
-- A plan file is {id, approvals, plan}: id is "sha256:" and the SHA-256 of the canonical JSON (RFC 8785) of `plan`.
-- Names of members follow `terraform show -json` where it has the thing.

local errors = require "moongate.error"
local fs = require "moongate.fs"
local groups = require "moongate.plan.groups"
local hash = require "moongate.hash"
local host = require "moongate.host"
local json = require "moongate.json"
local keepers = require "moongate.keepers"
local span = require "moongate.span"
local task = require "moongate.task"
local time = require "moongate.time"

local M = {}

M.FORMAT = "moongate.plan/1"

local ORDER = { "create", "update", "promote", "register" }

-- ---- reading files ----

-- Every item of every group; all errors of all files are one.
local function load(run, list)
  local items, faults, failed = {}, {}, nil
  for _, group in ipairs(list) do
    local ok, loaded = true, {}
    if #group.paths > 0 then ok, loaded = pcall(keepers.of(group.kind).load, run, group) end
    if not ok then
      if not (errors.is(loaded) and loaded.code == "invalid" and type(loaded.details) == "table") then
        error(loaded, 0)
      end
      failed = failed or loaded
      table.move(loaded.details, 1, #loaded.details, #faults + 1, faults)
      loaded = {}
    end
    for _, item in ipairs(loaded) do
      item.kind = group.kind
      items[#items + 1] = item
    end
  end
  if #faults > 0 then require("moongate.documents").raise(faults) end
  if failed then error(failed, 0) end
  return items
end

local function refuse_doubles(items)
  local by, details = {}, {}
  for _, item in ipairs(items) do
    local other = by[item.address]
    if other then
      details[#details + 1] = { file = item.file, message = ("%s is also in %s"):format(item.address, other.file) }
    end
    by[item.address] = item
  end
  if #details > 0 then
    errors.raise { code = "invalid", outcome = "not_sent", details = details,
      message = ("%d resources are declared twice"):format(#details) }
  end
end

local function wanted(address, only)
  if not only or #only == 0 then return true end
  for _, pattern in ipairs(only) do
    if pattern == address or pattern:sub(-1) == "*" and address:sub(1, #pattern - 1) == pattern:sub(1, -2) then
      return true
    end
  end
  return false
end

-- M.rank(run) -> function(kind's name) -> 0, or one more than the kinds that it comes after have.
function M.rank(run)
  local rank = {}
  local function rank_of(name, depth)
    if rank[name] then return rank[name] end
    local highest = 0
    for _, before in ipairs(depth < 10 and run.gateway:kind(name).after or {}) do
      highest = math.max(highest, rank_of(before, depth + 1) + 1)
    end
    rank[name] = highest
    return highest
  end
  return function(name) return rank_of(name, 0) end
end

-- The kinds that others come after first, as the dialect declares; else in the order of the files.
local function in_order(run, items)
  local rank_of = M.rank(run)
  for i, item in ipairs(items) do item.n, item.rank = i, rank_of(item.kind) end
  table.sort(items, function(a, b)
    if a.rank ~= b.rank then return a.rank < b.rank end
    return a.n < b.n
  end)
end

-- ---- making a plan ----

-- What one item needs -> change, seen; or an error object, where it can't be planned.
local function examine(run, item)
  local keeper = keepers.of(item.kind)
  local ok, seen = pcall(keeper.look, run.gateway, item)
  local change
  if ok then ok, change = pcall(keeper.want, run.gateway, item, seen) end
  if ok then return { item = item, seen = seen, want = change } end
  local err = change or seen
  if not errors.is(err) then error(err, 0) end
  return { item = item, err = err }
end

-- A plan leaves the machine: it must hold no secret.
local function refuse_secrets(change)
  local text = json.encode(change) or ""
  if span.clean(text) ~= text then
    errors.raise { code = "invalid", outcome = "not_sent",
      message = ("%s contains a secret that moongate knows: a plan must not"):format(change.address),
      hint = "Take it out of the file; name it where the gateway keeps credentials." }
  end
end

local function change_of(n, found)
  local item, want = found.item, found.want
  return {
    n = n, address = item.address, kind = item.kind, place = item.place, action = want.action,
    change = { actions = json.array(want.actions), before = want.before, after = want.after },
    base = want.base, after_hash = want.after_hash, guard = want.guard, undo = want.undo, file = item.file,
    changes = want.changes and #want.changes > 0 and require("moongate.diff").to_json(want.changes) or nil,
  }
end

local function raise_failures(list)
  if #list == 1 then error(list[1], 0) end
  local details = {}
  for i, err in ipairs(list) do details[i] = { message = err.message } end
  list[1].message = ("%d resources can't be planned"):format(#list)
  list[1].details = details
  error(list[1], 0)
end

-- M.make(run, {paths, only, vector_store, concurrency}) -> document {id, plan, approvals}. Sends nothing but reads.
function M.make(run, opts)
  local items = load(run, groups.of(run, opts.paths, opts.vector_store))
  refuse_doubles(items)
  local chosen, files = {}, json.array {}
  for _, item in ipairs(items) do
    if wanted(item.address, opts.only) then chosen[#chosen + 1] = item end
  end
  if #chosen == 0 then
    errors.raise {
      code = "usage", message = "no resource has such an address", hint = "See the addresses: moongate plan",
    }
  end
  in_order(run, chosen)
  local progress = run:progress(#chosen, "resources")
  local found = assert(task.map(chosen, opts.concurrency, function(item)
    local one = examine(run, item)
    progress.advance(1, item.address)
    return one
  end))
  progress.done()
  local plan = {
    format = M.FORMAT, made_at = time.iso(), tool = host.version().moongate, gateway = run.gateway.base_url,
    dialect = run.gateway:dialect(), files = files, resource_changes = json.array {}, unchanged = json.array {},
  }
  local failures, known = {}, {}
  for _, one in ipairs(found) do
    local item = one.item
    if one.err then
      failures[#failures + 1] = one.err
    elseif one.want then
      local change = change_of(#plan.resource_changes + 1, one)
      refuse_secrets(change)
      plan.resource_changes[#plan.resource_changes + 1] = change
    else
      plan.unchanged[#plan.unchanged + 1] = { address = item.address, etag = one.seen.etag, hash = one.seen.hash }
    end
    if not known[item.file] then
      known[item.file] = true
      local text = fs.read(item.file)
      files[#files + 1] = { path = item.file, sha256 = text and hash.sha256(text) or nil }
    end
  end
  if #failures > 0 then raise_failures(failures) end
  local digest, err = hash.payload(plan)
  if not digest then error(err, 0) end
  return { id = "sha256:" .. digest, plan = plan, approvals = json.array {} }
end

-- M.save(document, path) -> the file: path, or plan-ID.json in it where it is a folder. Mode 0600.
function M.save(document, path)
  local info = fs.stat(path)
  if info and info.type == "directory" then
    path = ("%s/plan-%s.json"):format(path:gsub("/+$", ""), document.id:match "^sha256:(%x%x%x%x%x%x%x%x%x%x%x%x)")
  end
  local text, err = json.encode(document)
  if not text then error(err, 0) end
  local ok
  ok, err = host.fs.write(path, text .. "\n", { mode = 384 }) -- 0600
  if not ok then error(err, 0) end
  return path
end

-- ---- what people see ----

-- M.counts(plan) -> {create =, update =, promote =, register =, total =}
function M.counts(plan)
  local counts = { total = #plan.resource_changes }
  for _, name in ipairs(ORDER) do counts[name] = 0 end
  for _, change in ipairs(plan.resource_changes) do counts[change.action] = (counts[change.action] or 0) + 1 end
  return counts
end

local function heading(change)
  local what = change.action
  if change.action == "promote" then
    what = ("promote %s  live: %s"):format(change.place.version, tostring((change.base or {}).live or "none"))
  elseif change.base and change.base.etag then
    what = what .. "  If-Match " .. change.base.etag
  end
  return ("%s  (%s)  %s"):format(change.address, tostring(change.file), what)
end

-- M.sums(plan) -> "2 to write (1 create, 1 update), 14 unchanged"
function M.sums(plan)
  local counts, parts = M.counts(plan), {}
  for _, name in ipairs(ORDER) do
    if counts[name] > 0 then parts[#parts + 1] = ("%d %s"):format(counts[name], name) end
  end
  local text = counts.total == 0 and "nothing to write" or ("%d to write (%s)"):format(counts.total,
    table.concat(parts, ", "))
  return ("%s, %d unchanged"):format(text, #plan.unchanged)
end

-- M.lines(document) -> the changes with their diffs, the sums, and what can't be undone.
function M.lines(document)
  local lines, final = {}, {}
  for _, change in ipairs(document.plan.resource_changes) do
    lines[#lines + 1] = heading(change)
    local detail = keepers.of(change.kind).lines(change)
    table.move(detail, 1, #detail, #lines + 1, lines)
    if not change.undo.possible then final[#final + 1] = ("  %s (%s)"):format(change.address, change.undo.why) end
  end
  lines[#lines + 1] = M.sums(document.plan)
  if #final > 0 then
    lines[#lines + 1] = ("%d can't be undone:"):format(#final)
    table.move(final, 1, #final, #lines + 1, lines)
  end
  return lines
end

return M
