---@meta moongate.http

---The HTTP client. Calls look blocking and are not: a task that waits lets the others run.
---
---One retry loop lies below every call. It retries 429, 502, 503, 504 and failed connections until the call's deadline,
---with full jitter and never before Retry-After; what may have taken effect is sent again only when that does no harm
---(GET, HEAD, PUT, DELETE, OPTIONS, a call declared idempotent, or one with an idempotency key). A retry budget per host
---bounds storms. A circuit breaker per host and family lets one call at a time look whether a host that failed is back;
---the others wait for it within their deadlines. Once a host has been down for a whole deadline, calls fail at once.
---
---No redirect is followed: a 3xx is an answer. TLS 1.2 or later, always verified.

---@class moongate.http
local http = {}

---@class moongate.http.client_options
---@field base_url? string     "https://api.example.com[/prefix]"; calls then give paths
---@field auth? moongate.auth.handle    sent to the origin that it is bound to, and to no other
---@field headers? table<string, string|moongate.secret.handle>  sent with every call
---@field deadline? number     seconds a call may take, all attempts and waits; default 30
---@field connect_timeout? number seconds an attempt may take to connect; default 10
---@field retry? boolean|{max?: integer, base_ms?: number, cap_ms?: number} default true: until the deadline; max: attempts,
---  the first one included (1..1000). Waits of random(0, min(cap, base * 2^n)), base 500 ms, cap 20 s
---@field rate? {per_second: number, burst?: number} token bucket; calls wait for their turn
---@field breaker? boolean     default true; false: neither asks nor feeds the circuit breaker
---@field concurrency? integer calls in parallel; the others wait in order. Default: no limit
---@field max_body? integer    bytes of an answer, decoded; default and most: 64 MiB
---@field trace? boolean       default true; false: no traceparent goes along, and no spans are made

---@class moongate.http.request_options
---@field method? string       "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD" or "OPTIONS"; default "GET"
---@field path? string         below the client's base URL. With params, "{name}" stands for a parameter
---@field url? string          absolute; instead of path
---@field params? table<string, string|number|boolean> percent-encoded into path or url. A missing one raises; one that is
---  empty, "." or ".." is an "invalid" error
---@field query? table<string, string|number|boolean|any[]> appended in the order of the names; a list repeats its name
---@field headers? table<string, string|integer|moongate.secret.handle>
---@field json? any            the body, as canonical JSON (json.null for null)
---@field body? string         the body, as it is; exclusive with json
---@field idempotency_key? string sent as Idempotency-Key; allows replays
---@field idempotent? boolean  sending it twice does no more than sending it once; allows replays
---@field deadline? number     seconds; default: the client's
---@field family? string       resource family of the circuit breaker; default ""
---@field max_body? integer    bytes, at most the client's
---@field no_wait? boolean    a 429, 502, 503 or 504 is not tried again, and an open breaker not waited for: the caller has
---  another way
---@field connect_only? boolean nothing is sent: a success, with status 0, once the connection is made, TLS included
---@field ok_status? integer[] statuses from 400 on that are answers, not errors

---@class moongate.http.attempt
---@field n integer            from 1
---@field status? integer      of its answer
---@field error? string        or why it failed: a code
---@field class string         "none" (a success), "not_sent", "refused", "ambiguous" or "final"
---@field wait_ms number       waited before it: limiter, token, back-off
---@field elapsed_ms number

---@class moongate.http.response
---@field status integer
---@field headers table<string, string> names in lower case, found in any case; lines of one name joined by ", "
---@field body string
---@field attempts moongate.http.attempt[]
---@field tries integer         how many attempts
---@field elapsed number       seconds, the whole call
---@field correlation_id? string inin-correlation-id, else the X-Correlation-Id of the answer or of the request
---@field after_ambiguous boolean an earlier attempt may have taken effect
---@field outcome string       "final"
local response = {}

---The body as JSON, read from the receive buffer.
---@return any value nil when it is not JSON
---@return moongate.error? err "parse"
function response:json() end

---Gives its memory back now rather than when it is collected: worth it for very many. Its fields are nil after that, and `json` raises.
function response:close() end

---@class moongate.http.error: moongate.error
---@field code string          "http" (an answer with status >= 400), "connect", "network", "tls", "timeout", "breaker_open",
---  "unknown_outcome", "too_large", "protocol", "unauthorized" (no token), "invalid", "denied", "cancelled"
---@field status? integer
---@field gateway_code? string code of the gateway's error body
---@field details? {field?: string, code?: string, message?: string, entity?: string}[]
---@field body? string         of the answer, its first 64 KiB, as it came
---@field outcome string       what is known of its effect: "not_sent", "refused", "unknown" (also a POST or PATCH without
---  a key that was answered 500) or "final"
---@field attempts integer     made
---@field attempt_list moongate.http.attempt[]
---@field after_ambiguous? boolean an earlier attempt may have taken effect: a 409 or 412 may be our own write
---@field retry_after? number  seconds the last answer asked to wait
---@field correlation_id? string
---@field hint? string         what to do next

---@class moongate.http.client_stats
---@field attempts table<string, table<string, integer>> by method and "2xx", "4xx", … or "none" (no answer)
---@field seconds table<string, number> the sum of their times, by method
---@field retries integer      those that were not their call's first
---@field waiting? {reason: "rate_limit"|"breaker", seconds: number} what calls to the base URL's host wait for now
---@field limit? {left: integer, allowed: integer?, reset_in: number} requests that its rate limit leaves, as it said last

---@class moongate.http.client
---@field base_url? string
local client = {}

---Only inside a task. Unknown options and values of the wrong type raise.
---@param options moongate.http.request_options
---@return moongate.http.response? response
---@return moongate.http.error? err
function client:request(options) end

---@param path string path or absolute URL
---@param options? moongate.http.request_options
---@return moongate.http.response? response
---@return moongate.http.error? err
function client:get(path, options) end

---@param path string
---@param options? moongate.http.request_options
---@return moongate.http.response? response
---@return moongate.http.error? err
function client:put(path, options) end

---@param path string
---@param options? moongate.http.request_options
---@return moongate.http.response? response
---@return moongate.http.error? err
function client:post(path, options) end

---@param path string
---@param options? moongate.http.request_options
---@return moongate.http.response? response
---@return moongate.http.error? err
function client:patch(path, options) end

---@param path string
---@param options? moongate.http.request_options
---@return moongate.http.response? response
---@return moongate.http.error? err
function client:delete(path, options) end

---What the attempts of this client came to since it was made. Costs the calls nothing.
---@return moongate.http.client_stats stats
function client:stats() end

---Running calls continue; new ones raise.
function client:close() end

---@param options moongate.http.client_options
---@return moongate.http.client? client
---@return moongate.error? err "invalid": a URL or header that can't be; "denied": no permission for the host
function http.client(options) end

---A call of a default client, without credentials; so are the verbs.
---@param options moongate.http.request_options
---@return moongate.http.response? response
---@return moongate.http.error? err
function http.request(options) end

---@param url string
---@param options? moongate.http.request_options
---@return moongate.http.response? response
---@return moongate.http.error? err
function http.get(url, options) end

---@param url string
---@param options? moongate.http.request_options
---@return moongate.http.response? response
---@return moongate.http.error? err
function http.put(url, options) end

---@param url string
---@param options? moongate.http.request_options
---@return moongate.http.response? response
---@return moongate.http.error? err
function http.post(url, options) end

---@param url string
---@param options? moongate.http.request_options
---@return moongate.http.response? response
---@return moongate.http.error? err
function http.patch(url, options) end

---@param url string
---@param options? moongate.http.request_options
---@return moongate.http.response? response
---@return moongate.http.error? err
function http.delete(url, options) end

---The circuit breaker of a URL's host.
---@param url string
---@param family? string default ""
---@return {state: "closed"|"open"|"half_open", retry_in: number?} breaker retry_in: seconds until a call may go again
function http.breaker(url, family) end

---@class moongate.http.reason
---@field message? string      the server's sentence; with excerpt, the first 500 bytes of the body as text
---@field code? string
---@field details? {field?: string, code?: string, message?: string, entity?: string}[] at most 100
---@field excerpt? boolean     the body is in none of the known forms

---The reason in the body of an error answer: JSON in the forms of Genesys, problem+json, OAuth, OpenAI, Google, AWS,
---FastAPI, GraphQL and others, XML, HTML (its title), else its text. An error of this module has been through it.
---@param body string
---@param content_type? string
---@return moongate.http.reason
function http.reason(body, content_type) end

---@class moongate.http.stats
---@field calls integer        since the start, of the whole session
---@field attempts integer
---@field connections integer  opened
---@field live_calls integer   started and not ended
---@field live_transfers integer on the wire
---@field groups integer       libcurl multi handles

---@return moongate.http.stats
function http.stats() end

return http
