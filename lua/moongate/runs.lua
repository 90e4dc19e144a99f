-- runs.lua - the runs that the store knows: begun, taken up again, ended, looked at, forked, forgotten. The records of
-- what they did are journal.lua's. For the command line; raises error objects.
--
--   running      it is under way, or its process was killed: `runs resume` goes on with it
--   interrupted  stopped by a signal, at a point where it can be taken up
--   stopped      a step's outcome is not known: somebody has to look
--   failed       it ended badly; taken up again, what was done is not done again
--   done, cancelled

local clean = require("moongate.cleaned").json
local errors = require "moongate.error"
local host = require "moongate.host"
local journal = require "moongate.journal"
local json = require "moongate.json"
local merged = require "moongate.merged"
local plain = require "moongate.plain"
local time = require "moongate.time"
local uuid = require "moongate.uuid"

local M = {}

local COLUMNS = [[id, workflow, script, script_hash, words_json, options_json, gateway, status, exit_status, parent,
  parent_step, host, created_at, updated_at, finished_at, result_json, error_json]]

local function decoded(row, name)
  local value, err
  if row[name .. "_json"] then
    value, err = plain.decode(row[name .. "_json"])
    if value == nil then error(err, 0) end -- false is a result, too
  end
  row[name], row[name .. "_json"] = value, nil
end

-- Words of a command line and names of folders are bytes: those that are no text are kept as {percent = "caf%E9"}.
local function storable(bytes)
  if bytes == nil or utf8.len(bytes) then return bytes end
  return { percent = (bytes:gsub("[^%w._/ -]", function(c) return ("%%%02X"):format(c:byte()) end)) }
end

local function text_of(v)
  if type(v) ~= "table" then return v end
  return (v.percent:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

local function words_of(words)
  local out = json.array {}
  for i, word in ipairs(words) do out[i] = storable(word) end
  return out
end

local function run_of(row)
  for _, name in ipairs { "words", "options", "result", "error" } do decoded(row, name) end
  row.words, row.options = row.words or json.array {}, row.options or {}
  for i, word in ipairs(row.words) do row.words[i] = text_of(word) end
  row.options.cwd = text_of(row.options.cwd)
  return row
end

-- ---- ids ----

local ID_MAX = 200

-- What is wrong with an id that a user gives, or nil.
function M.id_fault(id)
  if #id > ID_MAX then return ("is longer than %d characters"):format(ID_MAX) end
  if not id:find "^[%w][%w._:@/-]*$" then return "must be letters, digits and . _ : @ / - (a letter or digit first)" end
end

-- M.new_id() -> "20261120-103908-3k9fq2": in the order of time, and short enough to be typed.
function M.new_id()
  local at = time.iso():gsub("[-:]", ""):gsub("T", "-"):sub(1, 15)
  local bits, tail = uuid.v4():gsub("%X", ""), {}
  local alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
  for i = 1, 6 do
    local n = tonumber(bits:sub(2 * i - 1, 2 * i), 16) & 31
    tail[i] = alphabet:sub(n + 1, n + 1)
  end
  return at .. "-" .. table.concat(tail)
end

-- ---- looking ----

-- -> run | nil
function M.get(db, id)
  local row = assert(db:exec("SELECT " .. COLUMNS .. " FROM runs WHERE id = $1", id))[1]
  return row and run_of(row)
end

-- -> run; an id may be cut short where one run only begins with it. Raises.
function M.find(db, id)
  local run = M.get(db, id)
  if run then return run end
  local rows = assert(db:exec("SELECT " .. COLUMNS .. " FROM runs WHERE substr(id, 1, $1) = $2 ORDER BY id LIMIT 3",
    #id, id))
  if #rows == 1 then return run_of(rows[1]) end
  errors.raise {
    code = "invalid", message = #rows == 0 and ("run %s not found in %s"):format(id, db.url)
      or ("several runs begin with %s: %s, %s"):format(id, rows[1].id, rows[2].id),
    hint = "moongate runs list",
  }
end

-- -> runs, the newest first. filter: {status, workflow, limit}
function M.list(db, filter)
  local where, parameters = {}, { "" }
  for _, name in ipairs { "status", "workflow" } do
    if filter[name] then
      parameters[#parameters + 1] = filter[name]
      where[#where + 1] = ("%s = $%d"):format(name, #parameters - 1)
    end
  end
  parameters[1] = ("SELECT %s, (SELECT count(*) FROM steps WHERE run_id = runs.id) AS records FROM runs %s "
    .. "ORDER BY created_at DESC, id DESC LIMIT %d"):format(COLUMNS,
    #where > 0 and "WHERE " .. table.concat(where, " AND ") or "", filter.limit or 1000)
  local rows = assert(db:exec(table.unpack(parameters)))
  for i = 1, #rows do run_of(rows[i]) end
  return rows
end

-- -> the records of a run, in the order in which they were begun.
function M.records(db, id)
  return assert(db:exec([[SELECT seq, path, name, n, kind, state, intent_json, result_json, error_json, place,
    started_at, finished_at FROM steps WHERE run_id = $1 ORDER BY seq]], id))
end

-- ---- life ----

local function here()
  local process = host.process()
  return ("%s pid %d"):format(process.host, process.pid)
end

local INSERT = [[INSERT INTO runs (id, workflow, script, script_hash, words_json, options_json, gateway, status, parent,
  parent_step, host, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, 'running', $8, $9, $10, {now}, {now})]]

local function row_of(id, what)
  local options = merged(what.options)
  options.cwd = storable(options.cwd)
  what.options.salt = what.options.salt or uuid.v4()
  options.salt = what.options.salt
  return {
    INSERT, id, what.workflow, what.script, what.script_hash, plain.write(words_of(what.words)),
    plain.write(options), what.gateway, what.parent, what.parent_step, here(),
  }
end

-- M.begin(db, {id, workflow, script, script_hash, words, options, gateway}) -> journal; or nil, run: there is one of
-- that id already. Raises.
function M.begin(db, what)
  local run = M.get(db, what.id)
  if run then return nil, run end
  local rows, err = db:batch { row_of(what.id, what) }
  if rows then return journal.open(db, what.id, { salt = what.options.salt }) end
  if err.code ~= "conflict" then error(err, 0) end
  return nil, M.get(db, what.id)
end

-- M.take_up(db, run) -> journal, with what the run has done. Whoever had it before and lives has it no more. Raises.
function M.take_up(db, run)
  local row = assert(db:exec([[UPDATE runs SET status = 'running', life = life + 1, host = $2, updated_at = {now},
    finished_at = NULL, exit_status = NULL, error_json = NULL WHERE id = $1 AND status <> 'cancelled' RETURNING life]],
    run.id, here()))[1]
  if not row then
    errors.raise { code = "conflict", message = ("run %s was cancelled or forgotten just now"):format(run.id) }
  end
  return journal.open(db, run.id, { salt = run.options.salt, life = row.life, resumed = true })
end

-- M.finish(journal, status, {exit_status, result, error}): the end of this life of the run -> true | nil, err: code
-- "conflict" when the run is not this process's any more, and is left as it is. One that was cancelled stays so.
function M.finish(j, status, outcome)
  local function text(v)
    return v ~= nil and clean(plain.write(v)) or nil
  end
  local statements = j.broken and { j:ours() } or j:take_pending()
  statements[#statements + 1] = {
    [[UPDATE runs SET status = $2, exit_status = $3, result_json = $4, error_json = $5, updated_at = {now},
      finished_at = {now} WHERE id = $1 AND status = 'running']], j.id, status, outcome.exit_status,
    text(outcome.result), text(outcome.error),
  }
  return j.db:batch(statements)
end

-- M.cancel(db, run) -> nil: it is not to go on, neither where it runs nor taken up.
function M.cancel(db, run)
  local rows = assert(db:exec([[UPDATE runs SET status = 'cancelled', updated_at = {now}, finished_at = {now}
    WHERE id = $1 AND status <> 'done' AND status <> 'cancelled']], run.id))
  if rows.changes == 0 then
    errors.raise { code = "conflict", message = ("run %s is %s already"):format(run.id, run.status) }
  end
end

-- ---- forks ----

-- The seq that "name" or "name#2" stands for, the first there is.
local function seq_of(db, run, step)
  local name, n = step:match "^(.*)#(%d+)$"
  for _, rec in ipairs(M.records(db, run.id)) do
    if rec.name == step and rec.n == 1 or name and rec.name == name and rec.n == math.tointeger(n)
      or tostring(rec.seq) == step then
      return rec.seq
    end
  end
  errors.raise {
    code = "invalid", message = ("run %s has no step '%s'"):format(run.id, step),
    hint = ("moongate runs show %s"):format(run.id),
  }
end

-- M.before(db, run, step) -> the records that a fork from the step begins with.
function M.before(db, run, step)
  local seq, kept = seq_of(db, run, step), {}
  for _, rec in ipairs(M.records(db, run.id)) do
    if rec.seq < seq and rec.state == "done" then kept[#kept + 1] = rec end
  end
  return kept
end

-- M.fork(db, run, step) -> run: a new one that has done what the old one had done before the step.
function M.fork(db, run, step)
  local seq = seq_of(db, run, step)
  local what = {
    workflow = run.workflow, script = run.script, script_hash = run.script_hash, words = run.words,
    options = run.options, gateway = run.gateway, parent = run.id, parent_step = step,
  }
  local id = M.new_id()
  local statements = {
    row_of(id, what),
    { [[INSERT INTO steps (run_id, seq, path, name, n, kind, state, intent_json, result_json, error_json, place,
        started_at, finished_at)
        SELECT $1, seq, path, name, n, kind, state, intent_json, result_json, error_json, place, started_at, finished_at
        FROM steps WHERE run_id = $2 AND seq < $3 AND state = 'done']], id, run.id, seq },
    { "UPDATE runs SET status = 'interrupted' WHERE id = $1", id },
  }
  local values = assert(db:exec("SELECT path, name, n, value_json FROM run_values WHERE run_id = $1", run.id))
  for _, row in ipairs(values) do
    if assert(plain.decode(row.value_json)).before <= seq then
      statements[#statements + 1] = {
        "INSERT INTO run_values (run_id, path, name, n, value_json) VALUES ($1, $2, $3, $4, $5)",
        id, row.path, row.name, row.n, row.value_json,
      }
    end
  end
  assert(db:batch(statements))
  return M.get(db, id)
end

-- ---- documents ----

-- M.export(db, run) -> all that is kept of it, as one document.
function M.export(db, run)
  local salt = run.options.salt
  local shown = merged(run)
  shown.options = {}
  for k, v in pairs(run.options) do shown.options[k] = v end
  shown.options.salt = nil
  local values = assert(db:exec([[SELECT path, name, n, value_json FROM run_values WHERE run_id = $1
    ORDER BY path, name, n]], run.id))
  local steps = M.records(db, run.id)
  steps.changes, values.changes = nil, nil
  return { form = "moongate run 1", run = shown, salt = salt, steps = json.array(steps), values = json.array(values) }
end

-- M.prunable(db, {before = ms since 1970, status = name | nil, id = of one | nil}) -> ids. A run that can be taken up
-- again is among them only by its status or id.
function M.prunable(db, which)
  local where, parameters = { "updated_at < $1" }, { "", which.before }
  if which.id then
    parameters[#parameters + 1] = which.id
    where[#where + 1] = "id = $" .. #parameters - 1
  elseif which.status then
    parameters[#parameters + 1] = which.status
    where[#where + 1] = "status = $" .. #parameters - 1
  else
    where[#where + 1] = "status IN ('done', 'cancelled')"
  end
  parameters[1] = "SELECT id FROM runs WHERE " .. table.concat(where, " AND ")
  local ids = json.array {}
  for i, row in ipairs(assert(db:exec(table.unpack(parameters)))) do ids[i] = row.id end
  return ids
end

-- M.prune(db, as for prunable) -> the ids of the runs that were removed.
function M.prune(db, which)
  local ids = M.prunable(db, which)
  for _, id in ipairs(ids) do
    assert(db:batch {
      { "DELETE FROM run_values WHERE run_id = $1", id },
      { "DELETE FROM steps WHERE run_id = $1", id },
      { "DELETE FROM runs WHERE id = $1", id },
    })
  end
  return ids
end

return M
