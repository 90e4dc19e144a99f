---@meta moongate.error

---Error objects: what a function that fails at run time returns as its second result, and what workflow-level modules raise. `tostring` gives
---one line: `message (METHOD path, status 409, correlation …, 3 attempts)`.
---@class moongate.error.module
local errors = {}

---What went wrong, by a name that stays. Scripts may use others.
---@alias moongate.error.code
---| "out_of_memory"
---| "invalid" an input or an answer is not as it must be
---| "parse" a text can't be read
---| "range" a number is out of range
---| "io" a disk or a terminal
---| "not_found"
---| "exists"
---| "denied" the system's permissions, or moongate's
---| "unauthorized" no credential, or none that the gateway takes
---| "connect" nothing was sent
---| "network" the connection was lost
---| "tls"
---| "timeout"
---| "cancelled" the task was
---| "http" an answer with a status of 400 or more
---| "conflict" another client wrote it, or another process has locked it
---| "breaker_open" the gateway has failed too often just now; nothing was sent
---| "retry_budget" too many calls of this host are tries again already
---| "unknown_outcome" whether it took effect is not known
---| "too_large"
---| "corrupt" a file is damaged
---| "closed"
---| "interrupted" Ctrl-C
---| "protocol" the other side does not keep to the protocol
---| "verify" a signature, or what was written, is not as it must be
---| "script" a script raised something that is not an error object
---| "bug" moongate's own fault
---| "store" the state can't be used
---| "busy"
---| "usage" the command line is wrong
---| "failed" the gateway says that its job has failed
---| "webhook_disabled" the receiver wants no more of it
---| "journal_mismatch" the script is no longer the one that the run was of
---| "lost" a lease was taken over by another process
---| "run_cancelled" `runs cancel` has ended it
---| "check_end" `runs check` is over

---@class moongate.error
---@field code moongate.error.code|string
---@field message string
---@field status? integer HTTP status
---@field gateway_code? string the gateway's own error code
---@field method? string
---@field path? string
---@field correlation_id? string
---@field details? {field: string, message: string, code: string?}[]
---@field attempts? integer
---@field outcome? "not_sent"|"refused"|"unknown"|"final"
---@field hopeless? true another try would fail alike: a certificate that does not verify, or a proxy that wants a password, say
---@field hint? string what to do next
---@field where? string "file:line" of the script, or a JSON Pointer
---@field warning? boolean shown as a warning, not as an error (run:report)
---@field value? any what was raised, when it was neither a string nor an error object
---@field traceback? string with -v
---@field [string] any further fields

---Makes an error object with all these fields, and with others if there are any. Raises when `code` or `message` is missing.
---@param fields moongate.error
---@return moongate.error
function errors.new(fields) end

---Makes an error object as `new` does and raises it.
---@param fields moongate.error
function errors.raise(fields) end

---@param v any
---@return boolean
function errors.is(v) end

return errors
