---@meta moongate.child
---@private

---Processes started by this one. Private: a script can't require it.
---@class moongate.child
local child = {}

---@class moongate.child.options
---@field args string[] the program, a path or a name that is looked for in PATH, and its arguments
---@field env? string[] "NAME=value" each; default: ours
---@field folder? string that it starts in; default: ours

---A process that runs or has ended. It is killed when the handle is closed or collected.
---@class moongate.child.handle
local handle = {}

---Its standard input is empty; what it writes to standard output and error is one stream.
---@param options moongate.child.options
---@return moongate.child.handle? child
---@return moongate.error? err not_found, denied, io
function child.start(options) end

---What it has written. Waits until there is something; needs a task. A child that is 16 MiB ahead of its reader is killed.
---@return string? text nil: it has ended, and nothing more will come
function handle:read() end

---@return integer? status its exit status; nil while it runs
---@return integer? signal that ended it, or 0
function handle:status() end

---Ends it at once. No-op when it has ended.
function handle:kill() end

---Kills it if it runs. Closing again is harmless; so does `<close>`.
function handle:close() end

---A new folder for its owner alone. It goes with the handle, with all in it.
---@class moongate.child.folder
local folder = {}

---@return string path
function folder:path() end

---@return moongate.child.folder? folder below $TMPDIR or /tmp
---@return moongate.error? err denied, io
function child.folder() end

---@return string? path of this very program
---@return moongate.error? err io
function child.self() end

---@return integer count of the threads that can run at once
function child.parallelism() end

return child
