---@meta moongate.gateway

---A gateway's resources by kind, and the generic verbs on any path. Reads answer with resources; every write goes through
---one path that checks, compares, shows, audits and guards it. All of it raises error objects. A workflow has its
---gateway as `run.gateway`, the prompt as `gw`.
---@class moongate.gateway
local gateway = {}

---@class moongate.gateway.open_options
---@field client moongate.http.client
---@field dialect? string|table the kinds and their paths (default "genesys")
---@field kinds? table<string, table> what a project file sets otherwise
---@field limits? table<string, number>
---@field audit? table as moongate.audit (default)
---@field log? table as moongate.log (default)
---@field cache? table last states that were seen
---@field dry_run? boolean writes are shown, not sent
---@field on_conflict? "fail"|"rebase"|"overwrite" when another client wrote (default "fail")
---@field deadline? number seconds that a write may take, waits for a busy resource included (default 30)
---@field clock? table for tests, as are audit, leases, journal and store: a script can't set them
---@field metrics? moongate.metrics.registry
---@field journal? table
---@field leases? false|table|function where what is written is held; false: nowhere (default: the session's store)
---@field store? table where what is queued is kept (default: the session's)
---@field queue? boolean keep what the gateway can't take now (default false)

---A gateway on an HTTP client. Workflows need not call this: see run.gateway.
---@param options moongate.gateway.open_options
---@return moongate.gateway.handle gateway
function gateway.open(options) end

---What a run's journal calls the request's answer.
---@param request table
---@return string name
function gateway.seen_as(request) end

---@class moongate.gateway.handle
---@field dry_run boolean
---@field on_conflict "fail"|"rebase"|"overwrite"
---@field deadline number seconds
---@field audit table
---@field log table
---@field queue boolean
---@field base_url? string where its requests go
local handle = {}

---What was read. `content` may be changed in place and written.
---@class moongate.gateway.resource
---@field kind string
---@field args table what names it
---@field content any what a PUT takes
---@field body any the answer as it came
---@field etag? string
---@field status? string the member of that name
---@field correlation_id? string
---@field stale boolean the gateway is away: this is what was seen last
---@field age number seconds since then

---@class moongate.gateway.read_options
---@field fresh? boolean never what was seen last
---@field for_write? boolean a write is to build on it; with --queue, nil also when it can't be read
---@field query? table<string, any>
---@field headers? table<string, string>
---@field params? table<string, any> for the "{name}"s of a path
---@field deadline? number seconds

---The declaration of a kind. Raises `invalid` for one that the dialect does not have.
---@param name string
---@return table kind
function handle:kind(name) end

---Reads a resource.
---@param kind string "index", "template", "model", "configuration", …
---@param args table what names it: {vectorStoreId = , indexId = }
---@param options? moongate.gateway.read_options
---@return moongate.gateway.resource? resource nil: not found
---@return boolean? unserved neither its path nor its listing is served
function handle:get(kind, args, options) end

---A resource out of what a listing holds of it, without a request. It has no ETag.
---@param kind string
---@param args table what names it
---@param entity table as the listing has it
---@return moongate.gateway.resource resource
function handle:from_listing(kind, args, entity) end

---Reads from any path.
---@param path string
---@param options? moongate.gateway.read_options
---@return moongate.gateway.resource? resource nil: not found
function handle:get_path(path, options) end

---A call that is not a resource. A POST must say `read = true`: it is not sent in a dry run, and a script's is in the
---audit log (`declared_read`). Writes go through `write` and the verbs.
---@param options moongate.gateway.request
---@return moongate.http.response response
function handle:request(options) end

---@class moongate.gateway.request: moongate.http.request_options
---@field read? boolean a POST that changes nothing, such as a search

---@class moongate.gateway.pages_options
---@field params? table<string, any>
---@field query? table<string, any>
---@field family? string
---@field deadline? number seconds

---The pages of a listing, decoded: by nextUri, else by pageNumber.
---@param path string
---@param options? moongate.gateway.pages_options
---@return fun(): table? pages
function handle:pages(path, options) end

---@class moongate.gateway.list_options
---@field page_size? integer
---@field query? table<string, any>
---@field deadline? number seconds

---The pages of the listing of a kind.
---@param kind string
---@param args? table
---@param options? moongate.gateway.list_options
---@return fun(): table? pages
function handle:list(kind, args, options) end

---@class moongate.gateway.match
---@field resource table
---@field same_content? boolean nil: the listing does not tell

---The listed resources that are the same as `content` by the members that make a kind's identity.
---@param kind string
---@param args table?
---@param content table
---@param options? {among: any} the second result of an earlier call, instead of asking again
---@return moongate.gateway.match[] matches
---@return any listed
function handle:find(kind, args, content, options) end

---@class moongate.gateway.poll_options
---@field field? string the member to look at (default "status")
---@field done string[] states that end it well
---@field failed? string[] states that raise `failed`
---@field running? string[] states of a running job; unknown states count as running, with a warning
---@field deadline? number seconds (default 120)
---@field interval? number seconds before the second look (default 0.25)
---@field max_interval? number seconds (default 3)
---@field params? table<string, any>
---@field query? table<string, any>
---@field family? string
---@field watch? fun(state: string) called with each state

---Reads again and again until a member is what it should be. Raises `failed`, or `timeout` after the deadline.
---@param path string
---@param options moongate.gateway.poll_options
---@return table body the last answer
function handle:poll(path, options) end

---@class moongate.gateway.write_options
---@field base? moongate.gateway.resource as it was read; nil: the write creates it
---@field content? any what it is to become (default: base.content, changed in place)
---@field action? string the audit event's name (default "<kind>_write")
---@field details? table|fun(content: any): table the audit event's fields
---@field stamp? table fields of both audit lines, beside those of details
---@field outcome_details? fun(result: table?, err: moongate.error?): table more of them, for the outcome
---@field on_conflict? "fail"|"rebase"|"overwrite"
---@field dry_run? boolean
---@field deadline? number seconds
---@field queue? boolean keep it for later when the gateway can't take it now
---@field after? moongate.gateway.result of an earlier write: when that is queued, this one is, behind it
---@field job? {deadline: number?, watch: fun(state: string)?, before: table[]?} where a create begins a job; before: what was listed before it, so that what is new in the listing is known for what was created when the answer was lost
---@field method? string
---@field unconditional? boolean no ETag goes along
---@field idempotent? boolean twice is as good as once
---@field idempotency_key? string
---@field headers? table<string, string>
---@field query? table<string, any>
---@field params? table<string, any> for the "{name}"s of a path
---@field from_queue? any

---@class moongate.gateway.result
---@field status "created"|"updated"|"deleted"|"unchanged"|"planned"|"reconciled"|"queued" reconciled: the answer was lost, and what is there is what was written
---@field changes table[] see moongate.diff
---@field etag? string
---@field body? any
---@field response? moongate.http.response
---@field http_status? integer
---@field latency_ms? number
---@field correlation_id? string
---@field attempts? integer
---@field payload_hash? string SHA-256 of the bytes sent
---@field audit_seq? integer
---@field rebased? boolean another client's changes were kept
---@field overwrote? string the ETag of what was overwritten
---@field queue_id? integer of one that is queued
---@field superseded? integer[] older ones that it replaces
---@field job? table {id, status, duration_ms}
---@field id? string

---The one way anything is changed: checked against the kind's schema, compared, shown in a dry run, held, audited,
---sent with its precondition, looked up when the answer is lost.
---@param kind string
---@param args table?
---@param options moongate.gateway.write_options
---@return moongate.gateway.result result
function handle:write(kind, args, options) end

---Reads back what was written. Raises `verify` when it is something else; members that the gateway adds are left
---alone.
---@param kind string
---@param args table
---@param content any
---@param result moongate.gateway.result
---@param what? string its name in messages
---@return moongate.gateway.resource resource
function handle:confirm(kind, args, content, result, what) end

---Deletes a resource.
---@param kind string
---@param args table
---@param options? moongate.gateway.write_options
---@return moongate.gateway.result result
function handle:remove(kind, args, options) end

---What a write of content would change and send. Nothing is sent.
---@param kind string
---@param content any nil: it is deleted
---@param base? any the content that was read; nil: it is created
---@return {changes: table[], body: any, hash: string?} preview hash: the payload hash of body
function handle:preview(kind, content, base) end

---The dialect's name, and the SHA-256 of the declarations of all kinds, those of the project file among them.
---@return {name: string, hash: string} dialect
function handle:dialect() end

---PUT to any path; without a base it is unconditional.
---@param path string
---@param content any
---@param options? moongate.gateway.write_options
---@return moongate.gateway.result result
function handle:put_path(path, content, options) end

---POST to any path.
---@param path string
---@param content any
---@param options? moongate.gateway.write_options
---@return moongate.gateway.result result
function handle:post_path(path, content, options) end

---PATCH on any path.
---@param path string
---@param content any
---@param options? moongate.gateway.write_options
---@return moongate.gateway.result result
function handle:patch_path(path, content, options) end

---DELETE on any path.
---@param path string
---@param options? moongate.gateway.write_options
---@return moongate.gateway.result result
function handle:delete_path(path, options) end

---@param family string
---@return "closed"|"open"|"half_open" state what the client knows
function handle:breaker(family) end

return gateway
