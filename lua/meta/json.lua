---@meta moongate.json

---JSON, strict both ways (RFC 8259) and canonical out (RFC 8785): the same value always gives the same bytes. Integers stay integers, an
---empty array stays an array, and a document that is read, changed and written back keeps what was not changed.
---@class moongate.json
---@field null lightuserdata JSON's null; equals cjson.null
local json = {}

---What a parsed JSON value can be. Arrays carry a mark (see json.array); json.null stands for null.
---@alias moongate.json.value string|integer|number|boolean|lightuserdata|table

---The canonical JSON text of a value. A table is an array when it is marked as one or its keys are 1..n with n >= 1; any other table, `{}`
---too, is an object, whose keys must be strings. Other metatables than those of
---array and record are ignored.
---
---Errors: `invalid` (a function, userdata, nan, infinity, a gap, mixed keys, bad UTF-8, a table inside itself, more than 512 levels),
---`range` (an integer beyond ±(2^53−1)). `err.where` is the JSON Pointer of the place.
---
---With `lenient` nothing is refused: for keeping and printing what others sent. Integers of 64 bits are written in full, bytes that are not
---UTF-8 as U+FFFD, what has no JSON form as a string that names it ("(function)", "NaN"), keys of any type as strings.
---@param value any
---@param options? moongate.json.encode_options
---@return string? text
---@return moongate.error? err
function json.encode(value, options) end

---@class moongate.json.encode_options
---@field lenient? boolean write every value (default false)

---@class moongate.json.decode_options
---@field max_depth? integer levels of nesting, 1..512 (default 512)
---@field safe_integers? boolean refuse integers beyond ±(2^53−1), which other programs may change (default false)
---@field lenient? boolean read what other programs write (default false): a byte-order mark is skipped; bytes that are not UTF-8 and half a surrogate pair become U+FFFD; control characters in strings are taken; of a key that comes twice the last counts; a number that is too large, NaN, Infinity, and what is nested deeper than 256 levels become strings of their spelling

---The value of a JSON text. Integers become Lua integers, other numbers floats, null becomes json.null, arrays are marked.
---
---Errors, with `err.line` and `err.column` (in characters, from 1): `parse` (not JSON, bad UTF-8, a key that comes twice, too deep),
---`range` (an integer beyond 64 bits, a number beyond a double).
---@param text string
---@param options? moongate.json.decode_options
---@return moongate.json.value? value
---@return moongate.error? err
function json.decode(text, options) end

---Marks a table as an array, so that it is written as one also when it is empty. The mark is a metatable; raises when the table has another.
---@param t? table a new table when absent
---@return table t the same table
function json.array(t) end

---Objects whose keys are known beforehand are written twice as fast: their order is found once. What has another key is written without it.
---@param keys string[] up to 64
---@return fun(t: table): table mark marks a table as such an object and returns it. The mark is a metatable; raises when the table has another.
function json.record(keys) end

---Whether encode writes v as an array.
---@param v any
---@return boolean
function json.is_array(v) end

return json
