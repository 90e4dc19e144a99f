---@meta moongate.scope
---@private

---The place of a task in a run, and what it shields from being cancelled. Private: for moongate/journal.lua.
---@class moongate.scope
local scope = {}

---@return any context that the current task is in; nil: none, or no task
function scope.get() end

---Puts the current task into a context; tasks that it spawns start there and are counted again.
---@param context any
---@param shielded boolean a cancellation waits until `leave`, or `shield(0)`
---@param guarded? boolean|"offline" requests that must not be sent twice ("offline": all) are refused, here and in the
---tasks spawned here; default: as before
---@return any before
---@return integer state
function scope.enter(context, shielded, guarded) end

---Puts it back where it was before `enter`; a cancellation that has waited is heeded here.
---@param before any
---@param state integer
function scope.leave(before, state) end

---Sets how many shields there are. 0: a cancellation that has waited is heeded here, and from here on at once.
---@param n integer
---@return integer before
function scope.shield(n) end

---@return string numbers of the tasks from the one that was given the context down to this one: "" for that one, "2.1"
---for the first child of its second one
function scope.numbers() end

---@return string? where "file:line" of the innermost line of a script
function scope.where() end

---@return integer count of requests that were refused, since the start
function scope.refused() end

---An intent of the audit log that an earlier process wrote and could not give its outcome. Nothing is looked up: an
---outcome of another one is found out by audit.verify. Needs moongate.audit to be open.
---@param seq integer
---@param action string
---@return moongate.audit.entry entry
function scope.reopen_intent(seq, action) end

---Sets what is asked before and told after requests that change something.
---@param before fun(method: string, replayable: boolean): true?, moongate.error? called in the request's task right
---before an attempt goes out, after all its waits; may wait itself. Of a request that is safe to repeat, only before
---attempts that come late. nil: it is not sent
---@param after fun(outcome: string?, status: integer) a request that is not safe to repeat has ended
function scope.hooks(before, after) end

---`client:request(options)` of trusted code: a write with the session's credential, too.
---@param client moongate.http.client
---@param options table
---@return moongate.http.response? response
---@return moongate.error? err
function scope.request(client, options) end

---The current task is what the first signal, or the end of --max-time, cancels.
---@param kind "command"|"run" whether it has safe points that are waited for
function scope.stoppable(kind) end

return scope
