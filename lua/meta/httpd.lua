---@meta moongate.httpd

---An HTTP/1.1 server for simulated services and receivers of webhooks. Each request is a task of its own. A server lives
---no longer than the task that called serve.
---@class moongate.httpd
local httpd = {}

---@class moongate.httpd.options
---@field host? string         numeric IPv4 or IPv6 address, or "localhost"; default "127.0.0.1"
---@field port? integer        0..65535; default 0: a free one
---@field tls? {cert: string, key: string} PEM text, or the paths of PEM files; TLS 1.2 and later
---@field handler fun(req: moongate.httpd.request): moongate.httpd.response|string|nil  a string is a 200 with that text, nil a 204
---@field accept? fun(req: moongate.httpd.request): "close"|moongate.httpd.response|nil called when the headers have come
---  and before the body is read (req.body is nil): nil goes on to handler with the same req, "close" ends the
---  connection, a response is sent at once
---@field max_body? integer    bytes, 1..2147483647; default 64 MiB. Beyond it the server answers 413 itself
---@field max_bodies? integer  bytes of all request bodies together, default 128 MiB, never below max_body. Beyond it: 503
---@field max_connections? integer default 10000
---@field idle_timeout? integer    seconds, 1..86400; default 60: a connection silent for this long is closed.
---  What is slower than 1 KiB per second after that time is closed, too; a request's headers have 30 seconds

---@class moongate.httpd.request
---@field method string
---@field target string        path and query as they were sent
---@field path string          the path as it was sent: still percent-encoded (see httpd.unescape)
---@field query table<string, string>   decoded; of a name that comes twice, the last
---@field headers table<string, string> names in lower case, found in any case; lines of one name joined by ", "
---@field body string?         "" without a body; nil in accept
---@field remote string        the client's address
---@field remote_port integer
local request = {}

-- The body as JSON.
---@return any value nil when it is not JSON
---@return moongate.error? err
function request:json() end

---@class moongate.httpd.response
---@field status? integer      200..599; default 200
---@field headers? table<string, string|number|string[]> Content-Length and Transfer-Encoding are the server's own. A
---  name that is not a token, or a control character in a value, is an error
---@field body? string         Content-Type defaults to text/plain
---@field json? any            encoded as the body; Content-Type defaults to application/json
---@field close? boolean       fault: end the connection without an answer
---@field truncate? integer    fault: send this many bytes of the body, then end the connection
---@field drip? {bytes: integer, interval: number} fault: send this many bytes every interval seconds

---@class moongate.httpd.server
---@field port integer
---@field url string           "http://127.0.0.1:8080", without a slash at the end
---@field live integer         requests that have started and are not over
local server = {}

-- Starts a server. Only inside a task. A request whose end can be read in two ways (two Content-Lengths, a length with
-- Transfer-Encoding, a space before a colon, a folded line, a control character, no Host or two) is answered 400 and its
-- connection closed. An error in a handler, or an invalid response, is a 500 for the client and a
-- line in the log. A client that leaves does not end the handler; its answer goes nowhere.
---@param options moongate.httpd.options
---@return moongate.httpd.server? server
---@return moongate.error? err "connect": the port can't be had; "invalid": an address or a TLS pair that can't be used;
---  "not_found", "denied", "io": a PEM file
function httpd.serve(options) end

-- Refuses new connections, waits for the requests in flight, closes. Stopping again is harmless.
---@param grace? number seconds to wait at most, 0..1e9; default 5
function server:stop(grace) end

-- Waits until the server has ended.
function server:join() end

-- Ends everything at once, without waiting. Also done by __close and when the server is collected.
function server:close() end

-- Undoes percent-encoding; '+' stays. nil when an escape is malformed.
---@param s string
---@return string?
function httpd.unescape(s) end

-- "a=1&b=x+y" -> {a = "1", b = "x y"}: a query, or the body of a form.
---@param s string
---@return table<string, string>
function httpd.parse_query(s) end

return httpd
