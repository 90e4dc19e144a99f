---@meta moongate.batch

---A workflow over many things: worked on side by side, each with an entry of the result, whatever happens to it. One that
---fails does not stop the others; the exit status is that of the first failed one.
---@class moongate.batch
---@field CHANGED table<string, true> the statuses that mean "took effect"
local batch = {}

---@class moongate.batch.map_options
---@field noun string "indexes"
---@field concurrency? integer
---@field entry fun(item: any): table an item's entry of the result
---@field name fun(entry: table): string what messages call it
---@field work fun(item: any, entry: table, say: fun(what: string))
---@field changed? table<string, true>

---@param run moongate.workflow.run
---@param items any[]
---@param options moongate.batch.map_options
---@return table[] entries in the order of items
function batch.map(run, items, options) end

---What every write has to say of itself goes into the entry.
---@param entry table
---@param result table of gateway:write
function batch.note(entry, result) end

---@param run moongate.workflow.run
---@param entry table
---@param options table {action, read = function() -> resource, …fields of the audit event}
---@return table resource as read back
function batch.confirm(run, entry, options) end

---@param entry table
---@return fun(notes: table[]) told the option of run:step: what became of the messages goes into the entry
function batch.told(entry) end

---@param entry table
---@param name string
---@return fun(format: string, value: any) add a part, where value is something
---@return fun(): string done the line
function batch.line(entry, name) end

---@param entry table
---@param name string
---@return string[] lines of what changes
function batch.changes(entry, name) end

---@param entries table[]
---@param options table {noun, order = every status, detail = function(entry) -> lines, line = function(entry) -> text}
---@return table result what the workflow returns
function batch.result(entries, options) end

return batch
