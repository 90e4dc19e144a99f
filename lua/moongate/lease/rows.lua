-- rows.lua - the table `leases`: who holds what, until when. A row stays when its lease is given back, so that its
-- fence only ever grows; a run's is taken away. For moongate.lease and `moongate lease` only.
--
-- Times are the store's own, in ms: two machines need not agree on what time it is.

local json = require "moongate.json"

local M = {}

local TAKE = [[INSERT INTO leases (name, holder, run_id, fence, info_json, acquired_at, expires_at)
  VALUES ($1, $2, $3, 1, $4, {now}, {now} + $5)
  ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, run_id = excluded.run_id, fence = leases.fence + 1,
    info_json = excluded.info_json, acquired_at = excluded.acquired_at, expires_at = excluded.expires_at
  WHERE leases.holder IS NULL OR leases.expires_at <= {now} OR leases.holder = $2 OR leases.holder = $6
  RETURNING fence]]

local FREE = "UPDATE leases SET holder = NULL, run_id = NULL, info_json = NULL, expires_at = 0"

-- All of the names, or none: fences by name; or nil, err, with code "conflict" when somebody holds one of them. by:
-- {holder, run_id, info = table, ttl = ms}. gone: name -> a holder that is known to be gone, and may be taken from.
function M.take(db, names, by, gone)
  local batch, info = {}, assert(json.encode(by.info))
  for i, name in ipairs(names) do
    batch[i] = { TAKE, name, by.holder, by.run_id, info, by.ttl, gone[name] or by.holder, expect = 1 }
  end
  local results, err = db:batch(batch)
  if not results then return nil, err end
  local fences = {}
  for i, name in ipairs(names) do fences[name] = results[i][1].fence end
  return fences
end

local COLUMNS = "name, holder, run_id, fence, info_json, acquired_at, expires_at, {now} AS now"

local function decoded(rows)
  for _, row in ipairs(rows) do row.info = row.info_json and json.decode(row.info_json) or {} end
  return rows
end

local AT_ONCE = 200 -- names in one statement

-- The rows of these names that there are, by name; or nil, err.
function M.read(db, names)
  local found = {}
  for first = 1, #names, AT_ONCE do
    local places, last = {}, math.min(first + AT_ONCE - 1, #names)
    for i = first, last do places[#places + 1] = "$" .. (i - first + 1) end
    local rows, err = db:exec(("SELECT %s FROM leases WHERE name IN (%s)"):format(COLUMNS, table.concat(places, ", ")),
      table.unpack(names, first, last))
    if not rows then return nil, err end
    for _, row in ipairs(decoded(rows)) do found[row.name] = row end
  end
  return found
end

-- Everything that somebody holds, those that have run out among them; or nil, err.
function M.list(db)
  local rows, err = db:exec(("SELECT %s FROM leases WHERE holder IS NOT NULL ORDER BY name"):format(COLUMNS))
  return rows and decoded(rows), err
end

-- Pushes the end of all that the holder has: fences by name; or nil, err.
function M.renew(db, holder, ttl)
  local rows, err = db:exec("UPDATE leases SET expires_at = {now} + $2 WHERE holder = $1 RETURNING name, fence", holder,
    ttl)
  if not rows then return nil, err end
  local fences = {}
  for _, row in ipairs(rows) do fences[row.name] = row.fence end
  return fences
end

-- list: of {name, fence}. true | nil, err
function M.release(db, holder, list)
  local batch = {}
  for i, held in ipairs(list) do
    local run = held.name:find "^run "
    batch[i] = {
      (run and "DELETE FROM leases" or FREE) .. " WHERE name = $1 AND holder = $2 AND fence = $3", held.name, holder,
      held.fence,
    }
  end
  if #batch == 0 then return true end
  local ok, err = db:batch(batch)
  return ok and true, err
end

local LONG_AGO = " <= {now} - 86400000" -- a day

-- Whatever the holder still has; and what others left behind long ago. true | nil, err
function M.release_all(db, holder)
  local ok, err = db:batch {
    { "DELETE FROM leases WHERE (holder = $1 OR expires_at" .. LONG_AGO .. ") AND name LIKE 'run %'", holder },
    { FREE .. " WHERE holder = $1 OR (holder IS NOT NULL AND expires_at" .. LONG_AGO .. ")", holder },
  }
  return ok and true, err
end

-- Takes it from its holder, whoever that is: what it was, false when nobody held it (any more); or nil, err.
function M.break_one(db, row)
  local rows, err = db:exec(FREE .. ", fence = fence + 1 WHERE name = $1 AND holder = $2 AND fence = $3", row.name,
    row.holder, row.fence)
  if not rows then return nil, err end
  return rows.changes == 1
end

return M
