---@meta moongate.test

---Tests of workflows and scripts, run by `moongate test`. docs/testing.md shows how.
---@class moongate.test
local test = {}

---A block of tests.
---@param name string
---@param fn function declares what is in it
function test.describe(name, fn) end

---A test. It runs in a task of its own; whatever it raises fails it, and so does a task or a transfer that it leaves.
---@param name string
---@param fn? function without it, the test is one still to be written
function test.it(name, fn) end

---Before the first test of the block.
---@param fn function
function test.before(fn) end

---After the last test of the block.
---@param fn function
function test.after(fn) end

---Before each test of the block, after those of the blocks around it. What it starts lives until the test's end.
---@param fn function
function test.before_each(fn) end

---After each test of the block, also one that failed.
---@param fn function
function test.after_each(fn) end

---What a value is to be: `expect(value):to_equal(other)`. Of what a function gave back, nil and its error can be handed
---over together.
---@param value any
---@param second? any
---@return moongate.test.subject subject
function test.expect(value, second) end

---Each check has a negation: `not_to_equal` and so on. It gives back what was checked.
---@class moongate.test.subject
---@field not_to_equal fun(self: moongate.test.subject, ...: any): any
---@field not_to_be fun(self: moongate.test.subject, ...: any): any
---@field not_to_be_truthy fun(self: moongate.test.subject, ...: any): any
---@field not_to_be_nil fun(self: moongate.test.subject, ...: any): any
---@field not_to_be_a fun(self: moongate.test.subject, ...: any): any
---@field not_to_be_above fun(self: moongate.test.subject, ...: any): any
---@field not_to_be_below fun(self: moongate.test.subject, ...: any): any
---@field not_to_be_near fun(self: moongate.test.subject, ...: any): any
---@field not_to_match fun(self: moongate.test.subject, ...: any): any
---@field not_to_contain fun(self: moongate.test.subject, ...: any): any
---@field not_to_have_length fun(self: moongate.test.subject, ...: any): any
---@field not_to_fail_with fun(self: moongate.test.subject, ...: any): any
---@field not_to_match_snapshot fun(self: moongate.test.subject, ...: any): any
local subject = {}

---Equal by content; says what differs, and where.
---@param expected any
---@return any value
function subject:to_equal(expected) end

---The same number, text, boolean; the very same table.
---@param expected any
---@return any value
function subject:to_be(expected) end

---@return any value neither nil nor false
function subject:to_be_truthy() end

---@return any value nil
function subject:to_be_nil() end

---@param kind string "string", "table", "integer", …
---@return any value
function subject:to_be_a(kind) end

---@param bound number
---@return number value
function subject:to_be_above(bound) end

---@param bound number
---@return number value
function subject:to_be_below(bound) end

---@param expected number
---@param tolerance? number default 1e-9
---@return number value
function subject:to_be_near(expected, tolerance) end

---A text: a Lua pattern is found in it. A table: it has all that `expected` names; lists are of one length.
---@param expected string|table
---@return any value
function subject:to_match(expected) end

---A text has this part; a table this value, by content.
---@param item any
---@return any value
function subject:to_contain(item) end

---@param n integer
---@return any value
function subject:to_have_length(n) end

---A function that raises, or gives back nil and an error; nil and an error; an outcome of `session:run`; an error object.
---@param code? string of the error; default: any
---@param pattern? string that its text matches
---@return any err what it failed with
function subject:to_fail_with(code, pattern) end

---As the snapshot in the file beside the test. A new one is written; in CI it is a failure.
---@param name? string of one among several in a test
---@return any value
function subject:to_match_snapshot(name) end

---Those of `moongate.sim.start`, with no rate limit unless one is asked for.
---@class moongate.test.sim_options: moongate.sim.options
---@field project? table a project file's table, instead of the one there is

---A simulated gateway of the test's own, and workflows run against it. It ends with the test, at the latest.
---@param options? moongate.test.sim_options
---@return moongate.test.sim session
function test.sim(options) end

---@class moongate.test.sim
---@field url string
---@field client_id string
---@field client_secret string
---@field webhook_secret moongate.secret.handle
---@field project table
---@field server any the server (moongate.sim)
local session = {}

---What a run came to.
---@class moongate.test.outcome
---@field exit_status integer the program's
---@field data any the document that --json would print
---@field text string what would be printed without it
---@field lines string[] its lines
---@field streamed string what was written while it ran
---@field notes string[] lines for people, on standard error
---@field reports moongate.error[] failures that did not end the run
---@field audit table[] the audit log's lines
---@field error? moongate.error the failure that ended it

---Runs a workflow as its command line would: its own words, and `--dry-run`. A failure is in the outcome, not raised.
---@param what string|moongate.workflow.definition a bundled workflow's name, a script's path, a definition
---@param ... string|number words
---@return moongate.test.outcome outcome
function session:run(what, ...) end

---The requests of the API, oldest first, at most the last 1000.
---@param method? string only these
---@param pattern? string a Lua pattern of their paths
---@return table[] requests `{method, path, status, body, …}` each
function session:requests(method, pattern) end

---@return table state what the gateway holds
function session:state() end

---@return table stats what it was asked and answered
function session:stats() end

---Forgets what it holds and counted, tokens too.
function session:reset() end

---@param rule string|table a fault: docs/simulator.md
---@return integer? id
---@return moongate.error? err
function session:fault(rule) end

---@return table[] faults with how often each matched and fired
function session:faults() end

---@param id? integer default: all
function session:clear_faults(id) end

---The next call with a token that was given out gets a 401.
function session:expire_tokens() end

---Waits until no webhook delivery is under way or due.
---@param seconds? number at most
---@return boolean settled
function session:settle(seconds) end

---Ends it before the test does.
function session:stop() end

---@return string path of a new, empty folder; gone after the run
function test.folder() end

---A new file in a folder of its own.
---@param name string
---@param content string|table a table becomes JSON; in a *.jsonl, each of its items a line
---@return string path
function test.file(name, content) end

---A test that does not run; inside a test, `skip(why)` ends it.
---@param name string
---@param why? string
function test.skip(name, why) end

---A test that runs at once, when the file reaches it; inside `describe`, as `it`.
---@param name string
---@param fn function
function test.test(name, fn) end

---@param a any
---@param b any equal by content
---@param what? any
function test.eq(a, b, what) end

---@param v any neither nil nor false
---@param what? any
---@return any v
function test.ok(v, what) end

---@param fn function raises
---@param pattern? string that what it raises matches
---@param ... any arguments
---@return any raised
function test.raises(fn, pattern, ...) end

---`fails(code, f(…))` or `fails(f(…))`: the results are nil and an error object.
---@param ... any
---@return moongate.error err
function test.fails(...) end

---Where `folder` and `file` put things; for `moongate test`.
---@param path string
function test.set_folder(path) end

return test
