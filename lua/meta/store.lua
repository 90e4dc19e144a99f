---@meta moongate.store
---@private

---What outlives the process: the tables of src/store/tables.c, in SQLite or PostgreSQL. For trusted modules only; every
---call waits off the loop, and needs a task.
---
---SQL is what both know. Parameters are `$1`, `$2` …: nil, a boolean (0 or 1), a number or a string; structured values go as JSON text.
---`{now}` in SQL is the store's time in ms since 1970, `{lock}` is FOR UPDATE, `{skip_locked}` FOR UPDATE SKIP LOCKED (both nothing in
---SQLite), `{serial}` the type of a key that counts up by itself.
---
---Errors of all: `store` (it can't be used: damaged, no room, no server; the message says what to do), `busy` (another process did not let go
---of it), `conflict` (a unique key already exists), `bug` (SQL that does not work), `closed`.
---@class moongate.store
local store = {}

---An array of rows, each `{column = value}` without its NULLs.
---@class moongate.store.rows
---@field [integer] table<string, string|number>
---@field changes integer rows inserted, updated or deleted

---@class moongate.store.db
---@field kind "sqlite"|"postgres"
---@field url string without passwords
local db = {}

---Opens a store, makes it if it is not there yet, and brings its tables up to date.
---@param url string "sqlite:PATH", "sqlite::memory:" or "postgres://…"
---@return moongate.store.db? db
---@return moongate.error? err
function store.open(url) end

---The session's store (--state), opened at its first use, however many tasks ask. With --sim and no --state it is private, in memory.
---@return moongate.store.db? db
---@return moongate.error? err
function store.session() end

---Runs one statement; what it has changed is durable when it returns.
---@param sql string
---@param ... string|number|boolean|nil
---@return moongate.store.rows? rows
---@return moongate.error? err
function db:exec(sql, ...) end

---Runs statements as one: all of them or none, and durable when it returns. Batches of several tasks share a sync. A cancelled task's batch
---takes effect all the same.
---
---Errors: `conflict` when a statement touched or returned another number of rows than its `expect`.
---@param statements table[] `{ {sql, ...}, {sql, ..., expect = n}, … }`
---@return moongate.store.rows[]? results one a statement
---@return moongate.error? err
function db:batch(statements) end

---Reads, decides and writes with the store to itself: nothing of other tasks comes in between. In SQLite, nothing of other processes either;
---in PostgreSQL, lock what is read and decided on with `{lock}`. fn may run again when others get in the way, so it has no other effects. What
---it raises rolls back and is raised on; so does cancelling the task. A statement that has failed fails the whole.
---@generic T
---@param fn fun(tx: moongate.store.tx): T
---@return T? result what fn returned
---@return moongate.error? err
function db:transaction(fn) end

---The store's time: this machine's clock, or the server's.
---@return integer? ms since 1970
---@return moongate.error? err
function db:now() end

---Rolls back what is open; what was asked before still happens. The session's store stays open for others.
function db:close() end

---@class moongate.store.tx
local tx = {}

---Runs one statement of the transaction.
---@param sql string
---@param ... string|number|boolean|nil
---@return moongate.store.rows? rows
---@return moongate.error? err
function tx:exec(sql, ...) end

return store
