-- write.lua - the queue `writes`: writes that the gateway could not take, to be sent later by queue/flush.lua. A newer
-- write replaces an older one of the same resource, unless that would turn round the order of writes that depend on
-- each other. One process at a time sends them, under a lease. For trusted code only.
--
-- A row is {id, resource, gateway, kind, args, method, content, base, options, idempotency_key, run_id, depends_on,
-- state = queued, done or dropped, superseded, error, created_at, updated_at}.

local cleaned = require "moongate.cleaned"
local errors = require "moongate.error"
local json = require "moongate.json"
local plain = require "moongate.plain"

local M = { name = "write" }

-- ---- rows ----

local PAYLOAD = { "gateway", "kind", "args", "method", "content", "base", "options", "idempotency_key", "run_id" }

local function decoded(rows)
  for _, row in ipairs(rows) do
    local payload = assert(plain.decode(row.payload_json))
    for _, name in ipairs(PAYLOAD) do
      if payload[name] ~= json.null then row[name] = payload[name] end
    end
    local result = row.result_json and assert(plain.decode(row.result_json)) or {}
    row.error, row.superseded, row.payload_json, row.result_json = result.error, result.superseded, nil, nil
    row.options = row.options or {}
  end
  return rows
end

local function payload_of(write, base)
  local payload = {}
  for _, name in ipairs(PAYLOAD) do payload[name] = write[name] end
  payload.base = base
  return plain.write(payload)
end

-- Raises what a call of the store failed with.
local function checked(rows, err)
  if not rows then error(err, 0) end
  return rows
end

-- ---- adding ----

local INSERT = [[INSERT INTO queue_items (queue, seq, request_id, key, depends_on, payload_json, state, attempts,
    not_before, created_at, updated_at) VALUES ('writes', $1, $2, $3, $4, $5, 'queued', 0, 0, {now}, {now})]]

local SUPERSEDED = [[UPDATE queue_items SET state = 'dropped', result_json = '{"superseded":true}', updated_at = {now}
  WHERE queue = 'writes' AND seq = $1 AND state = 'queued']]

-- A write that says all that the resource is to be.
local function is_whole(method)
  return method == "PUT" or method == "DELETE"
end

-- Whether the write `id` comes, by what it depends on, after the write `earlier`.
local function follows(tx, id, earlier)
  for _ = 1, 1000 do
    if id == nil then return false end
    if id == earlier then return true end
    local row = checked(tx:exec("SELECT depends_on FROM queue_items WHERE queue = 'writes' AND seq = $1", id))[1]
    id = row and row.depends_on
  end
  return true
end

-- Which of the queued writes of the resource the new one replaces, and the one it has to come after, or nil.
local function place(tx, write, older)
  local replaced, after = {}, write.after
  for _, row in ipairs(older) do
    if is_whole(write.method) and is_whole(row.method) and not follows(tx, write.after, row.id) then
      replaced[#replaced + 1] = row
    elseif not follows(tx, after, row.id) then
      after = row.id
    end
  end
  return replaced, after
end

local function next_id(tx)
  local id = checked(tx:exec "SELECT next_seq FROM queues WHERE name = 'writes' {lock}")[1].next_seq
  checked(tx:exec "UPDATE queues SET next_seq = next_seq + 1 WHERE name = 'writes'")
  return id
end

local function insert(tx, write)
  local id = next_id(tx)
  local older = decoded(checked(tx:exec([[SELECT seq AS id, payload_json, depends_on FROM queue_items
    WHERE queue = 'writes' AND key = $1 AND state = 'queued' ORDER BY seq {lock}]], write.resource)))
  local replaced, after = place(tx, write, older)
  local base, ids = write.base, {}
  for _, row in ipairs(replaced) do base = base or row.base end
  for _, row in ipairs(replaced) do after = after or row.depends_on end
  checked(tx:exec(INSERT, id, tostring(id), write.resource, after, payload_of(write, base)))
  for i, row in ipairs(replaced) do
    ids[i] = row.id
    checked(tx:exec(SUPERSEDED, row.id))
    checked(tx:exec([[UPDATE queue_items SET depends_on = $2 WHERE queue = 'writes' AND depends_on = $1
      AND seq <> $2]], row.id, id))
  end
  return { id = id, superseded = ids }
end

-- M.add(db, {gateway, resource, kind, args, method, content, base, options, idempotency_key, run_id, after = id}) ->
-- {id, superseded = ids of those that it replaces}. Raises.
function M.add(db, write)
  local entry, err = db:transaction(function(tx) return insert(tx, write) end)
  return checked(entry, err)
end

-- M.supersede(db, resource, id | nil) -> ids of the queued writes of the resource that count no more, because it was
-- written since. id: the queued write that has just been sent, which is no such one; those after it still count.
function M.supersede(db, resource, sent)
  local found = decoded(checked(db:exec([[SELECT seq AS id, payload_json FROM queue_items WHERE queue = 'writes'
    AND key = $1 AND state = 'queued' AND seq < $2 ORDER BY seq]], resource, sent or math.maxinteger)))
  local ids = {}
  for _, row in ipairs(found) do
    if is_whole(row.method) then
      ids[#ids + 1] = row.id
      checked(db:exec(SUPERSEDED, row.id))
    end
  end
  return ids
end

-- ---- reading ----

local SELECT = [[SELECT seq AS id, key AS resource, depends_on, payload_json, state, result_json, created_at,
  updated_at FROM queue_items WHERE queue = 'writes']]

-- M.list(db [, {all = also those that wait no more, gateway = base URL}]) -> rows, the oldest first. Raises.
function M.list(db, opts)
  local all, gateway = opts and opts.all, opts and opts.gateway
  local found = decoded(checked(db:exec(("%s %s ORDER BY seq"):format(SELECT, all and "" or "AND state = 'queued'"))))
  if not gateway then return found end
  local out = {}
  for _, row in ipairs(found) do
    if row.gateway == gateway then out[#out + 1] = row end
  end
  return out
end

-- M.get(db, id) -> the row, or nil. Raises.
function M.get(db, id)
  return decoded(checked(db:exec(SELECT .. " AND seq = $1", id)))[1]
end

-- ---- the end of a write ----

-- M.mark(db, id, state [, err]): "done", or "queued" with why it is still there. Raises.
function M.mark(db, id, state, err)
  checked(db:exec([[UPDATE queue_items SET state = $2, result_json = $3, updated_at = {now}
    WHERE queue = 'writes' AND seq = $1 AND state = 'queued']], id, state,
    err and cleaned.json(plain.write { error = err }) or nil))
end

local function refuse(code, format, ...)
  errors.raise { code = code, message = format:format(...), hint = "Run `moongate queue list`." }
end

-- M.drop(db, ids) -> rows: they are sent no more. All of them or, when one does not wait or another that stays depends
-- on it, none. Raises.
function M.drop(db, ids)
  local dropped, err = db:transaction(function(tx)
    local going, rows = {}, {}
    for _, id in ipairs(ids) do going[id] = true end
    for i, id in ipairs(ids) do
      local row = decoded(checked(tx:exec(SELECT .. " AND seq = $1 {lock}", id)))[1]
      if not row then refuse("not_found", "queued write %d does not exist", id) end
      if row.state ~= "queued" then refuse("conflict", "%d waits no more: it is %s", id, row.state) end
      rows[i] = row
      for _, other in ipairs(checked(tx:exec(
        [[SELECT seq AS id FROM queue_items WHERE queue = 'writes' AND depends_on = $1 AND state = 'queued'
        ORDER BY seq]], id))) do
        if not going[other.id] then refuse("conflict", "%d comes after %d: drop both, or %d alone", other.id, id,
          other.id) end
      end
    end
    for _, row in ipairs(rows) do
      checked(tx:exec([[UPDATE queue_items SET state = 'dropped', updated_at = {now} WHERE queue = 'writes'
        AND seq = $1]], row.id))
    end
    return rows
  end)
  return checked(dropped, err)
end

return M
