-- queued_writes.lua - the table `queued_writes`: writes that the gateway could not take, to be sent later by
-- queued_writes/flush.lua. A newer write replaces an older one of the same resource, unless that would turn round the
-- order of writes that depend on each other. For trusted code only.

local cleaned = require "moongate.cleaned"
local errors = require "moongate.error"
local plain = require "moongate.plain"

local M = {}

-- ---- rows ----

local function encode(v)
  if v == nil then return nil end
  return plain.write(v)
end

local JSON = { "args", "content", "base", "options", "error" }

local function decoded(rows)
  for _, row in ipairs(rows) do
    for _, name in ipairs(JSON) do
      local text = row[name .. "_json"]
      row[name], row[name .. "_json"] = text and assert(plain.decode(text)) or nil, nil
    end
    row.options = row.options or {}
  end
  return rows
end

-- Raises what a call of the store failed with.
local function checked(rows, err)
  if not rows then error(err, 0) end
  return rows
end

-- ---- adding ----

local INSERT = [[INSERT INTO queued_writes (gateway, resource, kind, args_json, method, content_json, base_json,
    options_json, idempotency_key, run_id, depends_on, state, created_at, updated_at)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'queued', {now}, {now}) RETURNING id]]

-- A write that says all that the resource is to be.
local function is_whole(method)
  return method == "PUT" or method == "DELETE"
end

-- Whether the write `id` comes, by what it depends on, after the write `earlier`.
local function follows(tx, id, earlier)
  for _ = 1, 1000 do
    if id == nil then return false end
    if id == earlier then return true end
    local row = checked(tx:exec("SELECT depends_on FROM queued_writes WHERE id = $1", id))[1]
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

local function insert(tx, write)
  local older = decoded(checked(tx:exec([[SELECT id, method, base_json, depends_on FROM queued_writes
    WHERE resource = $1 AND state = 'queued' ORDER BY id {lock}]], write.resource)))
  local replaced, after = place(tx, write, older)
  local base, ids = write.base, {}
  for _, row in ipairs(replaced) do base = base or row.base end
  for _, row in ipairs(replaced) do after = after or row.depends_on end
  local id = checked(tx:exec(INSERT, write.gateway, write.resource, write.kind, encode(write.args), write.method,
    encode(write.content), encode(base), encode(write.options), write.idempotency_key, write.run_id, after))[1].id
  for i, row in ipairs(replaced) do
    ids[i] = row.id
    checked(tx:exec("UPDATE queued_writes SET state = 'superseded', updated_at = {now} WHERE id = $1", row.id))
    checked(tx:exec("UPDATE queued_writes SET depends_on = $2 WHERE depends_on = $1 AND id <> $2", row.id, id))
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
  local found = checked(db:exec([[SELECT id, method FROM queued_writes WHERE resource = $1 AND state = 'queued'
    AND id < $2 ORDER BY id]], resource, sent or math.maxinteger))
  local ids = {}
  for _, row in ipairs(found) do
    if is_whole(row.method) then
      ids[#ids + 1] = row.id
      checked(db:exec([[UPDATE queued_writes SET state = 'superseded', updated_at = {now}
        WHERE id = $1 AND state = 'queued']], row.id))
    end
  end
  return ids
end

-- ---- reading ----

local COLUMNS = [[id, gateway, resource, kind, args_json, method, content_json, base_json, options_json,
  idempotency_key, run_id, depends_on, state, error_json, created_at, updated_at]]

-- M.list(db [, {all = also those that wait no more, gateway = base URL}]) -> rows, the oldest first. Raises.
function M.list(db, opts)
  local where, gateway = "state = 'queued'", opts and opts.gateway
  if opts and opts.all then where = "1 = 1" end
  if gateway then where = where .. " AND gateway = $1" end
  local params = gateway and { gateway } or {}
  return decoded(checked(db:exec(("SELECT %s FROM queued_writes WHERE %s ORDER BY id"):format(COLUMNS, where),
    table.unpack(params))))
end

-- M.get(db, id) -> the row, or nil. Raises.
function M.get(db, id)
  return decoded(checked(db:exec(("SELECT %s FROM queued_writes WHERE id = $1"):format(COLUMNS), id)))[1]
end

-- ---- the end of a write ----

-- M.mark(db, id, state [, err]): "sent", or "queued" with why it is still there. Raises.
function M.mark(db, id, state, err)
  checked(db:exec([[UPDATE queued_writes SET state = $2, error_json = $3, updated_at = {now}
    WHERE id = $1 AND state = 'queued']], id, state, err and cleaned.json(encode(err)) or nil))
end

local function refuse(code, format, ...)
  errors.raise { code = code, message = format:format(...), hint = "`moongate queue list` shows what waits" }
end

-- M.drop(db, ids) -> rows: they are sent no more. All of them or, when one does not wait or another that stays depends
-- on it, none. Raises.
function M.drop(db, ids)
  local dropped, err = db:transaction(function(tx)
    local going, rows = {}, {}
    for _, id in ipairs(ids) do going[id] = true end
    for i, id in ipairs(ids) do
      local sql = ("SELECT %s FROM queued_writes WHERE id = $1 {lock}"):format(COLUMNS)
      local row = decoded(checked(tx:exec(sql, id)))[1]
      if not row then refuse("not_found", "there is no queued write %d", id) end
      if row.state ~= "queued" then refuse("conflict", "%d waits no more: it is %s", id, row.state) end
      rows[i] = row
      for _, other in ipairs(checked(tx:exec(
        "SELECT id FROM queued_writes WHERE depends_on = $1 AND state = 'queued' ORDER BY id", id))) do
        if not going[other.id] then refuse("conflict", "%d comes after %d: drop both, or %d alone", other.id, id,
          other.id) end
      end
    end
    for _, row in ipairs(rows) do
      checked(tx:exec("UPDATE queued_writes SET state = 'dropped', updated_at = {now} WHERE id = $1", row.id))
    end
    return rows
  end)
  return checked(dropped, err)
end

return M
