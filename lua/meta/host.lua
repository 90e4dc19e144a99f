---@meta moongate.host
---@private

---What moongate's own Lua code asks of the program around it. Private: a script can't require it.
---@class moongate.host
---@field fs moongate.fs for files that the user has named: the same functions, whatever scripts may do
local host = {}

-- ---- the VM: src/bind/l_host.c ----

---@param text string Lua source
---@param chunkname string as for `load`
---@param env? table its globals
---@return function?
---@return moongate.error? err parse
function host.load_chunk(text, chunkname, env) end

---@param path string
---@param env? table its globals
---@param of_script? boolean a script asks: only a file that it may read
---@return function?
---@return moongate.error? err not_found, denied, io, too_large, parse
function host.load_file(path, env, of_script) end

---@param name string of an embedded file: `"moongate/cli.lua"`
---@return string? text
function host.embedded(name) end

---@param prefix? string
---@return string[] names sorted
function host.embedded_list(prefix) end

---Writes all of it to standard output, at once, with secrets hidden.
---@param text string
---@return true?
---@return moongate.error? err io: a full disk, a closed pipe
function host.write(text) end

---Text as it may be printed: controls that steer a terminal or turn the direction of what follows are escapes (`\x1b`, `\u009b`), and it is
---valid UTF-8. Line feeds stay, unless one_line.
---@param text string
---@param one_line? boolean
---@return string
function host.visible(text, one_line) end

---As `write`, to standard error.
---@param text string
---@return true?
---@return moongate.error? err
function host.write_err(text) end

---As `write`, but it waits in a task while a slow reader takes its time, and holds up nobody else. One at a time.
---@param text string
---@return true?
---@return moongate.error? err io
function host.write_out(text) end

---All of standard input, at most 64 MiB. Waits on the thread pool; needs a task.
---@return string? bytes
---@return moongate.error? err
function host.read_stdin() end

---The current task is a prompt: Ctrl-C ends that one of its descendants, and the prompt continues. nil: it ends nothing now.
---@param task? moongate.task.handle
function host.foreground(task) end

---@return boolean whether tasks that the current one has spawned still live
function host.has_children() end

---A task that the current one's end does not end: it continues until the program ends. Its failure is nobody else's.
---@param fn function
---@param ... any its arguments
---@return moongate.task.handle
function host.background(fn, ...) end

---This process, in words that another one of the machine can check.
---@return {host: string, boot: string, space: string, pid: integer, started: integer}
function host.process() end

---Whether a process lives; "unknown" when it is one of another machine, or can't be found out.
---@param process {boot?: string, space?: string, pid?: integer, started?: integer} as `process` gave it there
---@return "alive"|"gone"|"unknown"
function host.process_life(process) end

---What the HTTP client knows of hosts, for other processes: each circuit breaker's state, the rate limit where a
---gateway has told one, and what is used of a client's own.
---@return {kind: "breaker"|"pacer"|"limiter", key: string, until_ms: integer, state?: string, trips?: integer, left?: integer, allowed?: integer}[]
function host.shared() end

---@return integer n of changes of circuit breakers' states since the start
function host.shared_changes() end

---Takes what another process told with `shared`. Own experience counts more; nonsense is passed over.
---@param entry table
---@return boolean changed
function host.adopt(entry) end

---@param fd integer
---@return boolean
function host.isatty(fd) end

---@param fd? integer default 2
---@return integer? columns of the terminal
function host.width(fd) end

---What lives now: tasks, those of them that outlast the task that began them, HTTP calls, jobs of the thread pool; and
---bytes of Lua memory.
---@return {tasks: integer, background: integer, transfers: integer, works: integer, memory: integer} stats
function host.stats() end

---@return table<string, table>
function host.metatables() end

---`setmetatable` that no `__metatable` stops.
---@generic T: table
---@param t T
---@param mt table
---@return T
function host.raw_setmetatable(t, mt) end

---`getmetatable` that no `__metatable` stops.
---@param v any
---@return table?
function host.raw_getmetatable(v) end

---`audit.tree` of files that the user has named, whatever scripts may read.
---@param files string[]
---@param opts? moongate.audit.tree_opts
---@return moongate.audit.tree? tree
---@return moongate.error? err
function host.audit_tree(files, opts) end

---@return integer n of events that this process has given to the audit log
function host.audit_written() end

---Keeps a signed checkpoint as PATH.checkpoint, unless a larger one is there: of several processes that sign, the largest
---stays. Waits on the thread pool; needs a task.
---
---Errors: `verify` (another checkpoint of that size was signed), `io`, `not_found`.
---@param path string an audit log
---@param note string
---@return true?
---@return moongate.error? err
function host.keep_checkpoint(path, note) end

---Closes the session's audit log as a segment and continues in a new file. Waits on the thread pool; needs a task.
---
---Errors: `busy` (intents without an outcome), `not_found` (the log is empty), `exists` (the segment's name is taken), as audit.event.
---@param keep_open_intents? boolean
---@return true?
---@return moongate.error? err
function host.rotate_audit(keep_open_intents) end

---`secret.file` of a file that the user has named, whatever scripts may read.
---@param path string
---@return moongate.secret.handle? handle
---@return moongate.error? err
function host.secret_file(path) end

---Writes a secret into a new file of mode 0600.
---@param path string
---@param handle moongate.secret.handle
---@return true?
---@return moongate.error? err exists, io, denied
function host.write_secret(path, handle) end

-- ---- the session: src/cli/l_session.c ----

---The global flags by name, "-" as "_"; `error` is what is wrong with the command line.
---@return table
function host.options() end

---The project file; without `path` none was found. `error`: it can't be read. A secret in `data` is a handle, or
---`{unset = NAME}` when its variable is not set.
---@return {path?: string, dir?: string, data: table, faults: table[], error?: moongate.error}
function host.project() end

---Reads a project file for its faults alone.
---@param path string
---@return {file: string, line?: integer, path?: string, message: string}[]?
---@return moongate.error? err
function host.check_project(path) end

---The state folder, the store's URL without a password, and the audit log's path. `error`: `--state` can't be used.
---@return {dir?: string, store?: string, audit: string, error?: moongate.error}
function host.state() end

---What is known of the gateway and its client, masked, and from where. `error`: it can't be resolved.
---@return {fields: {name: string, source: string, origin: string, shown: string}[], warnings: string[], error?: moongate.error}
function host.credentials() end

---Puts a simulated gateway in place of the user's, for the rest of the run. Before anything asks for the gateway.
---@param url string
---@param client_id string
---@param client_secret string
---@return true?
---@return moongate.error? err
function host.use_gateway(url, client_id, client_secret) end

---The run that audit events are of from here on; nil: none.
---@param id? string
---@return true?
---@return moongate.error? err
function host.audit_run(id) end

---Whether the URL is plain HTTP to another machine, which neither `--allow-http` nor the project file allows.
---@param url string
---@return boolean
function host.plain_http(url) end

---The seconds of a text such as "800ms", "2s", "1.5m", "1h" or "2d", or of bare seconds; nil for another.
---@param text string
---@return number?
function host.duration(text) end

---Whether a host, or the host of a URL, is this machine: localhost, ::1 or 127.0.0.0/8, in every spelling that resolvers
---take.
---@param text string
---@return boolean
function host.is_loopback(text) end

---How a request to the URL leaves this machine: through which proxy, and why. `error`: a proxy setting can't be used, so that it would not.
---@param url string
---@return {proxy?: string, why: string, error?: moongate.error}?
---@return moongate.error? err
function host.route(url) end

---@param path string
---@return {mode: integer, writable: boolean, folder: boolean}? what is there; nil: nothing
function host.access(path) end

---@param name string
---@return string?
function host.getenv(name) end

---@return string? path of the working directory
function host.cwd() end

---@param path string
---@return boolean done
function host.chdir(path) end

---@return table<string, string> versions `libcurl_bugs`: lines; of moongate and of what it is built on
function host.version() end

---The line at the foot of the terminal; nil takes it away. Log lines go above it.
---@param line? string
function host.progress(line) end

---A script of this folder is about to be loaded: from here on all code of the process keeps to the permissions. Raises
---what is wrong with them.
---@param folder? string
function host.restrict(folder) end

---The script of this folder that is about to be loaded is only asked what it is: from here on, for good, scripts reach
---nothing but the files below it. No-op in tests.
---@param folder string
function host.read_only_definitions(folder) end

---@return boolean yes what lies in the working directory may run: it was allowed, or lies below the project's folder, which
---was
function host.folder_allowed() end

---@param folder string
---@param hash string of its project file; "": none
---@param allow boolean false: forget it
---@return string? path of the folder, without links
---@return moongate.error? err
function host.allow_folder(folder, hash, allow) end

---@param path string
---@return true? yes nobody but the user could have written the file
---@return moongate.error? err
function host.own(path) end

---@param path string
---@return boolean yes `--trust` names a folder that it is in
function host.trusts(path) end

---@return boolean yes a script has been loaded, whatever it is allowed
function host.restricted() end

---The kernel holds all of the process to the file rules, too, if it can. Before a script's first line runs.
---@return boolean done
function host.seal() end

---@return integer version of the kernel's Landlock; 0: it has none
function host.landlock() end

---What follows runs with everything allowed: tests.
function host.allow_all() end

---No request goes to the URL's origin, whatever else is allowed, unless this program listens there itself. Raises for what is not a URL.
---@param url string
function host.refuse(url) end

---@param kind "net"|"read"|"write"|"env"
---@param what string as a flag would have it: `*.example.com`, a path, a name
---@return boolean? allowed all that such a flag would allow
---@return moongate.error? err no such flag can be
function host.allows(kind, what) end

---An access that was decided elsewhere, for `--permission-log` and the audit log.
---@param kind "net"|"read"|"write"|"env"
---@param what string
---@param allowed boolean
function host.note_access(kind, what, allowed) end

---From here on Ctrl-C and SIGTERM are the expected end of the command: status 0.
function host.may_interrupt() end

---Why what is stoppable was cancelled: --max-time, a signal that the command ends with (host.may_interrupt), another.
---@return "timeout"|"expected"|"signal"
function host.why_stopped() end

-- ---- the prompt: src/repl/l_editor.c ----

---A line editor on the terminal.
---@class moongate.host.editor
local editor = {}

---Errors: `not_found` (no terminal, or built without libedit).
---@return moongate.host.editor? editor
---@return moongate.error? err
function host.editor() end

---Waits for a line.
---@param prompt string
---@return string|false|nil line false: Ctrl-C; nil: the end
function editor:read(prompt) end

---Ends a read whose task was cancelled, and waits for that.
function editor:interrupt() end

---Adds to the history.
---@param line string
function editor:add(line) end

---Waits until something is to be completed; an offer must follow.
---@return string text the line
---@return integer cursor bytes before the cursor
function editor:wanted() end

---@param erase integer characters before the cursor that go
---@param insert string what comes in their place
---@param list? string printed above the line
function editor:offer(erase, insert, list) end

---Closing again is harmless; so does `<close>`.
function editor:close() end

return host
