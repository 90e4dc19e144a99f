---@meta moongate.task

---Tasks: functions that run side by side and wait without blocking each other. Every call that waits (HTTP, files, sleep, join, …) lets the
---other tasks run. Tasks are structured: a task's end cancels the children that still run and waits until they are closed, and a child that
---failed, and that nobody joined, fails its parent at the parent's end.
---
---A wait may happen anywhere in a task, in a coroutine that it has made (`coroutine.wrap`), too; but not in a metamethod, in a callback of
---`table.sort` or `string.gsub`, or while a cancelled task is being closed. It raises there.
---@class moongate.task
local task = {}

---A running or ended task. It runs on when its handle is dropped.
---@class moongate.task.handle
local handle = {}

---Starts `fn(...)` as a child of the current task. It first runs on the next turn.
---@param fn function
---@param ... any arguments
---@return moongate.task.handle task
function task.spawn(fn, ...) end

---Waits for the task's end. An error that is not an error object becomes one with code `script`, its position in `where`, and, when it was
---neither a string nor an error object, the value in `value`. Raises when a task joins itself.
---
---Errors: what the task failed with; `cancelled`; `timeout` (the task runs on).
---@param seconds? number longest wait (default: none)
---@return any ... the function's results, or nil and the error
function handle:join(seconds) end

---Asks the task to end: it is closed on the next turn, its to-be-closed variables with it, and `pcall` does not keep it. One that has not
---started never runs. Does nothing when it has ended or was asked before. Raises when a task cancels itself.
function handle:cancel() end

---@return "ready"|"running"|"waiting"|"done"|"failed"|"cancelled" status
function handle:status() end

---Runs all at once and waits for all. The first failure cancels those that it started (tasks that were given run on): a child that raises, is
---cancelled, or returns nil and an error object.
---@param list (function|moongate.task.handle)[]
---@return any[]? results the first result of each, in the list's order
---@return moongate.error? err
function task.all(list) end

---Runs `fn(item, index)` for each item, at most `limit` at a time, each in a task of its own. Fails as `task.all` does.
---@generic T, R
---@param list T[]
---@param limit integer at least 1
---@param fn fun(item: T, index: integer): R
---@return R[]? results in the list's order
---@return moongate.error? err
function task.map(list, limit, fn) end

---Waits. 0 lets the others run.
---@param seconds number 0 to ten years
function task.sleep(seconds) end

---Lets the other tasks run.
function task.yield() end

---Runs `fn(...)` in a task of its own for at most that long, then cancels it and waits until it is closed.
---
---Errors: `timeout`; what fn failed with.
---@param seconds number
---@param fn function
---@param ... any arguments
---@return any ... fn's results, or nil and the error
function task.timeout(seconds, fn, ...) end

---@return moongate.task.handle? task the one that runs
function task.current() end

---A counting semaphore. Permits are given out in the order in which they were asked for.
---@class moongate.task.semaphore
local semaphore = {}

---@param n integer permits, at least 1
---@return moongate.task.semaphore
function task.semaphore(n) end

---Takes a permit, and waits for one if need be.
---
---Errors: `timeout`.
---@param seconds? number longest wait (default: none)
---@return true? ok
---@return moongate.error? err
function semaphore:acquire(seconds) end

---Gives a permit back, straight to the first who waits. Raises when none is out.
function semaphore:release() end

---Runs `fn(...)` with a permit, which is given back when fn returns, raises or is cancelled.
---@param fn function
---@param ... any arguments
---@return any ... fn's results
function semaphore:with(fn, ...) end

return task
