---@meta moongate.workflow

---What a workflow is: a declaration that help, the argument parser and the runner read, and a function that does the
---job. docs/scripting.md walks through one.
---@class moongate.workflow
local workflow = {}

---What a workflow may do, beyond what every script may: reading below the working directory, and the hosts of the
---gateway and of the project file's webhooks.
---@class moongate.workflow.permissions
---@field net? string[] hosts: "hooks.example.com", "*.example.com", "10.0.0.7:8443"
---@field read? string[] files, and folders with all below them
---@field write? string[] the same, to write
---@field env? string[] variables of the environment

---An argument is `{ name, what it is }`, a flag too, and these.
---@class moongate.workflow.argument
---@field optional? boolean
---@field repeated? boolean the last one alone; a list comes out
---@field choices? string[]

---@class moongate.workflow.flag
---@field type? "string"|"boolean"|"integer"|"number"|"duration" default "string"; a duration ("90s") comes out in seconds
---@field letter? string "p": -p is the same
---@field value? string what help calls the value
---@field nargs? integer 2: two words, a list comes out
---@field env? string a variable that gives it when the flag is not there
---@field default? any
---@field choices? string[]
---@field required? boolean
---@field repeated? boolean a list comes out
---@field min? number
---@field max? number

---@class moongate.workflow.definition
---@field name string lower-case words joined by "-"
---@field summary string one line
---@field description? string|string[] text, or its lines
---@field author? string
---@field categories? string[] "read", "write", "destructive"
---@field args? moongate.workflow.argument[]
---@field flags? moongate.workflow.flag[]
---@field permissions? moongate.workflow.permissions
---@field examples? string[][] `{ command, what it does }` each
---@field run fun(run: moongate.workflow.run, args: table): any the job. `args` holds arguments and flags, "-" in names as
---  "_". What it returns is the result: a table, whose fields `text` and `exit_status` are not part of the document
---@field journal? boolean|fun(values: table): boolean whether a run is kept (default true); false without a function is for
---  workflows of the category `read`
---@field run_id? fun(values: table): string? the run's id, so that the same command continues or repeats it
---@field offline? fun(values: table): boolean whether these arguments need no gateway, and so no credentials

---Makes a workflow. A field that does not exist raises, with the script's file and line.
---@param definition moongate.workflow.definition
---@return moongate.workflow.definition definition
function workflow.define(definition) end

---@param v any
---@return boolean is whether `workflow.define` made it
function workflow.is(v) end

---The session that a run is part of. Every field is optional.
---@class moongate.workflow.session
---@field dry_run? boolean
---@field queue? boolean
---@field json? boolean
---@field simulated? boolean
---@field project? table the project file's table
---@field deadline? number seconds for one call of the gateway, retries included
---@field retries? integer of such a call; default: until its deadline
---@field progress? function
---@field report? function
---@field note? function
---@field stream? function
---@field step? function
---@field gateway? function
---@field audit? table
---@field metrics? table
---@field store? any where webhooks' messages are kept
---@field journal? table

---Runs a workflow in the current task. Raises what it raises. For tests: scripts do not have it.
---@param definition moongate.workflow.definition
---@param values table arguments and flags as they are parsed
---@param session moongate.workflow.session
---@return {data: any, lines: string[], exit_status: integer} outcome
function workflow.execute(definition, values, session) end

---A run that no workflow has: what a prompt works with. For tests: scripts do not have it.
---@param session moongate.workflow.session
---@return moongate.workflow.run run
function workflow.open(session) end

---An error object as plain data, for a result.
---@param err moongate.error
---@return table data
function workflow.error_data(err) end

---The program's exit status for a failure.
---@param err moongate.error
---@return integer status
function workflow.exit_status(err) end

---What a workflow's function works with.
---@class moongate.workflow.run
---@field name string the workflow's
---@field id? string what `moongate runs` knows it by; nil in a dry run, or where nothing is kept of it
---@field args table arguments, "-" in names as "_"
---@field flags table
---@field dry_run boolean
---@field queue boolean
---@field json boolean
---@field simulated boolean --sim
---@field deadline? number seconds for one call of the gateway
---@field gateway moongate.gateway.handle opened when it is first used
---@field project table the project file; empty without one
---@field limits table its limits
---@field audit moongate.audit
---@field log moongate.log
---@field metrics moongate.metrics.registry the run's own
local run = {}

---Options of the gateway's HTTP client, before `run.gateway` is used.
---@param options moongate.http.client_options
function run:client(options) end

---One more line of what is printed without --json.
---@param format string as for string.format
---@param ... any
function run:say(format, ...) end

---What differs. The changes become lines of the result, and its `changes`.
---@param from any nil: nothing there
---@param to any
---@param title? string a line above them
---@return table[] changes
function run:diff(from, to, title) end

---@class moongate.workflow.step_options
---@field reconcile? fun(intent: any): any what it returned, found out by looking; nil: it did not happen
---@field intent? any plain data that is kept when the step begins
---@field idempotent? boolean doing it twice does no harm
---@field again? boolean|fun(...): boolean when the run is resumed, repeat a failed step even if the script continued after it; a function of the step's results: also repeat a step that was done if it returns true
---@field webhook? fun(result: any): string?, any, table? event, data and options of `run:webhook`: kept with the step's end
---@field told? fun(notes: moongate.workflow.webhook_note[]) what became of the messages; also behind a step that was done before

---A part of the job that has a name and is done once: a resumed run gets what it returned, plain data,
---from the journal. One that was cut off in the middle is gone through again, but sends nothing that must not be sent
---twice.
---@param name string
---@param fn function
---@param options? moongate.workflow.step_options
---@return any ... what fn returns
function run:step(name, fn, options) end

---Reads something and records it: a resumed run gets the recorded value.
---@param name string
---@param fn function
---@return any ... what fn returns
function run:read(name, fn) end

---Sleeps until a recorded time: a resumed run sleeps the rest of it.
---@param seconds number
function run:sleep(seconds) end

---Raises `timeout` when fn has not returned by then. The deadline is kept: being cut off does not move it.
---@param seconds number
---@param fn function
---@return any ... what fn returns
function run:timeout(seconds, fn) end

---No other process writes these resources until the run ends; all of them or none. Raises `conflict` when another one
---holds one of them.
---@param list table[] `{ kind, args }` each
function run:hold(list) end

---A place in the run's trace, below the span that it is called in.
---@param name string
---@param attributes? table<string, any>
---@param fn fun(span: table): any
---@return any ... what fn returns
function run:span(name, attributes, fn) end

---@class moongate.workflow.model_call
---@field model string
---@field provider? string
---@field operation? string default "chat"
---@field temperature? number
---@field top_p? number
---@field max_tokens? integer

---A span that OpenTelemetry's conventions for generative AI describe.
---@param what moongate.workflow.model_call
---@param fn fun(call: table): any
---@return any ... what fn returns
function run:model_call(what, fn) end

---How far long work is, told on a terminal as a bar, elsewhere as lines.
---@param total? integer how many there will be
---@param noun? string what they are
---@return {advance: function, pause: function, expect: function, done: function} progress `advance(n, what)`,
---  `pause(why)` while nothing happens
function run:progress(total, noun) end

---Tells of a failure that does not end the run.
---@param err moongate.error
---@param what? string what it befell
function run:report(err, what) end

---A line for people, on standard error, now.
---@param line string
function run:note(line) end

---Asks on a terminal, before something that can't be undone. In a dry run it is true, since nothing is written; without
---a terminal it is a usage error that names `--yes`, a flag that the workflow has to declare and look at first. A run
---that is resumed behind the question does not ask again.
---@param question string without "[y/N]"
---@return boolean yes
function run:confirm(question) end

---For results that are too many to be returned, written as they come.
---@return fun(text: string): boolean?, moongate.error? write
function run:stream() end

---@class moongate.workflow.webhook_options
---@field headers? table<string, string> more of them
---@field also? table<string, table> more webhooks, as the project file has them
---@field flat? table members that a body of the format "flat" has otherwise
---@field per_prompt? boolean true: only webhooks with per_prompt; false: only the others

---What became of a webhook's message.
---@class moongate.workflow.webhook_note
---@field name string the webhook's
---@field id string the message's
---@field delivered boolean
---@field status? integer the receiver's answer
---@field attempts integer requests made
---@field error? string why it was not delivered
---@field kept? boolean it is tried again: `moongate queue list`
---@field dead? string why it is not
---@field disabled? boolean the webhook answered 410 Gone

---Tells the project file's webhooks that want the event. One that can't be told is in the result, in the audit log and on
---standard error, and is kept until it can; it never fails the run.
---@param event string
---@param data any
---@param options? moongate.workflow.webhook_options
---@return moongate.workflow.webhook_note[] told one a webhook; in a step they are filled in when it is done
function run:webhook(event, data, options) end

return workflow
