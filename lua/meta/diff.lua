---@meta moongate.diff

---What differs between two JSON values, as a list and as lines for people; and the three-way merge built on it. An absent
---value is nil; json.null is a value like any other.
---@class moongate.diff
local diff = {}

---@class moongate.diff.change
---@field op "add"|"remove"|"change"
---@field pointer string JSON Pointer
---@field from? any
---@field to? any

---As JSON sees it: 1 and 1.0 are one number, [] and {} are two values.
---@param a any
---@param b any
---@return boolean
function diff.equal(a, b) end

---@param from any nil: nothing is there
---@param to any
---@return moongate.diff.change[] changes in a fixed order
function diff.compare(from, to) end

---@param pointer string "/safety_filters/0/threshold"
---@return string path "safety_filters[0].threshold"
function diff.path(pointer) end

---@param value any
---@param limit? integer characters
---@return string text one line
function diff.show(value, limit) end

---@param changes moongate.diff.change[]
---@param indent? string
---@return string[] lines "+ a: 1", "- b: 2", "~ c: 1 -> 2"
function diff.lines(changes, indent) end

---@param changes moongate.diff.change[]
---@return table list as it goes into a JSON document
function diff.to_json(changes) end

---Member by member of the top level.
---@param base any nil: both sides created it
---@param theirs any
---@param ours any
---@return any merged nil when there are conflicts
---@return {pointer: string, base: any, theirs: any, ours: any}[] conflicts
function diff.merge(base, theirs, ours) end

---@param base any
---@param theirs any
---@param ours any
---@return string[] lines what each of the three holds, where they are not the same
function diff.three_columns(base, theirs, ours) end

return diff
