---@meta moongate.audit

---The audit log: a file of JSON lines, each bound to the one before by a hash (include/moongate/audit_log.h has the form). What a
---thousand tasks write at once shares one sync. Secrets are replaced by `***` before anything is written.
---
---An event is a table with `action`, a string, and whatever else is worth keeping. `seq`, `time`, `phase`, `prev`, `hash`, `intent`, and who
---writes it (`gateway`, `client_id`, `user`, `host`, `simulated`) are the log's own members and refused; `run` is set where the event has none.
---All of these functions wait, so they work inside a task only.
---
---Events of a script have `source = "script"`, an action that begins with `script.`, and the id of the script's own run; its intents and outcomes
---are such events, too. 4 MiB may be written at once, then 64 KiB per second, 64 MiB in total: the script waits, then fails with `too_large`.
---@class moongate.audit
local audit = {}

---@class moongate.audit.fields
---@field action string what is, or was, done
---@field [string] moongate.json.value

---An event of the log, as audit.read gives it.
---@class moongate.audit.line: moongate.audit.fields
---@field seq integer the line's number, from 1
---@field time string when it was submitted: RFC 3339, UTC, milliseconds
---@field phase "event"|"intent"|"outcome"
---@field intent? integer of an outcome: the seq of its intent
---@field prev string the hash of the line before
---@field hash string
---@field gateway? string the gateway's host, and its port where that is not the scheme's
---@field client_id? string of the client whose credential is used; absent with a token that was given
---@field user string the operating system's user
---@field host string this machine's name
---@field run? string the run that it is of
---@field simulated? true the gateway is the simulated one (--sim)

---Writes an event. It is in the file when this returns, though not necessarily synced to the disk. What has no JSON form is written as
---json.encode does leniently, integers beyond ±(2^53−1) as strings; an event that is too long for a line has its strings and lists cut.
---
---Errors: `invalid` (no action, a member of the log's own), `io` (the disk), `corrupt` (the log is
---damaged: nothing is appended), `timeout` (another process holds the log), `closed` (the session has no log).
---@param fields moongate.audit.fields
---@return integer? seq
---@return moongate.error? err
function audit.event(fields) end

---Writes what is about to be done, synced to the disk before this returns. What can't be audited must not be done: check the result.
---
---Errors: as audit.event.
---@param fields moongate.audit.fields
---@return moongate.audit.entry? entry
---@return moongate.error? err
function audit.intent(fields) end

---An intent that waits for its outcome. One that never gets it is an open intent: audit.verify lists them.
---@class moongate.audit.entry
---@field seq integer
local entry = {}

---Writes what became of it, synced to the disk. `action` is the intent's unless it is given. Raises when the outcome was written already.
---
---Errors: as audit.event; it may be tried again.
---@param fields table<string, moongate.json.value>
---@return true? written
---@return moongate.error? err
function entry:outcome(fields) end

---The session's log, which need not exist yet; nil when it has none.
---@return string?
function audit.path() end

---@class moongate.audit.report
---@field lines integer good ones, from the first
---@field first_bad? integer number of the first bad line
---@field reason? string why it is bad
---@field torn boolean the only fault is the last line, which a crash cut short; the next event sets it aside
---@field torn_bytes? integer
---@field set_aside integer torn lines that were set aside before
---@field open_intents integer[] seqs of intents without an outcome
---@field settled integer[] seqs of intents in earlier segments that have their outcome here
---@field head? integer number of the line that was written last, by the file `.head` beside the log; nil: it does not exist
---@field previous? integer the log begins behind this line of another log, which was gone or empty (`log_replaced`)
---@field previous_hash? string of that line
---@field first_seq? integer number of the first good line
---@field last_seq? integer number of the last good line
---@field first_prev? string `prev` of the first good line
---@field continued boolean it continues a segment that was rotated away
---@field rotated boolean it is a segment: its last line says that it was closed
---@field last_hash string of the last good line; 64 zeros for an empty log

---Checks a whole log. A broken one is a result, not an error.
---
---Errors: `not_found`, `denied`, `invalid` (no regular file), `io`, `timeout`.
---@param path? string default: the session's log
---@return moongate.audit.report? report
---@return moongate.error? err
function audit.verify(path) end

---What must be so for a line to be picked; what is absent is anything.
---@class moongate.audit.filter
---@field action? string
---@field outcome? string the member `outcome` or `status`
---@field correlation_id? string the member `correlation_id` or `correlationId`
---@field run? string
---@field plan? string id of a plan, "sha256:…"
---@field phase? "event"|"intent"|"outcome"
---@field since? string|number a UTC time or the beginning of one ("2026-11-20", "2026-11-20T07:31"), or seconds since 1970; inclusive
---@field until? string|number as since; "2026-11-20" includes that day
---@field last? integer maximum number of events: the last that match

---The events of a log, in order. Hashes are not checked: see audit.verify.
---
---Errors: as audit.verify; `too_large` (more than 256 MiB match).
---@param path? string default: the session's log
---@param filter? moongate.audit.filter
---@return moongate.audit.line[]? events
---@return integer|moongate.error skipped number of lines that were not JSON; or the error
function audit.read(path, filter) end

---@class moongate.audit.tree_opts
---@field sizes? integer[] trees whose roots are wanted, by their number of lines, ascending; the reading ends at the last
---@field index? integer a line, from 0 (its seq − 1), whose path in the tree of the last size is wanted; without sizes: in that of all lines
---@field hints? boolean use and keep the hashes of full blocks beside each file, FILE.tree (default true). They are never to be believed: compare
---a root with a signed one, and ask again with `hints = false` when it differs

---@class moongate.audit.tree
---@field first integer index of the first line in the files: the lines before it were rotated away
---@field size integer lines up to the end, or up to the last size
---@field root string of those, in hex
---@field frontier string[] of those: roots of the full subtrees, largest first
---@field roots (string|false)[] one for each size; false for one of lines that are not here
---@field path? string[] from the line's sibling up
---@field line? string the line, without its line break

---The Merkle tree (RFC 6962) over the lines of a log and of its rotated segments. Checks no hash chain.
---
---Errors: `not_found` (a file, or the line), `parse` (segments that do not follow each other), `verify` (a segment names another tree than the
---one before it has), `denied`, `io`.
---@param files string[] segments in order, the log last
---@param opts? moongate.audit.tree_opts
---@return moongate.audit.tree? tree
---@return moongate.error? err
function audit.tree(files, opts) end

return audit
