---@meta moongate.log

---The diagnostic log: lines on stderr. Secrets are replaced by `***`; line breaks and control characters are escaped. A message below the
---level costs nothing.
---@class moongate.log
local log = {}

---@alias moongate.log.level "error"|"warn"|"info"|"debug"|"trace"

---@param format string as for string.format; taken as it is when nothing follows
---@param ... any
function log.error(format, ...) end

---@param format string as for string.format; taken as it is when nothing follows
---@param ... any
function log.warn(format, ...) end

---@param format string as for string.format; taken as it is when nothing follows
---@param ... any
function log.info(format, ...) end

---@param format string as for string.format; taken as it is when nothing follows
---@param ... any
function log.debug(format, ...) end

---Reads or sets what is shown: the level named and those before it.
---@param name? moongate.log.level
---@return moongate.log.level level the level until now
function log.level(name) end

return log
