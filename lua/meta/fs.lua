---@meta moongate.fs

---Files. Every call waits on libuv's thread pool, so that a slow disk holds up nobody else; it needs a task.
---
---Errors of all: `not_found`, `denied` (the system's or moongate's permissions), `exists`, `invalid` (a directory where a file is needed),
---`io`.
---@class moongate.fs
local fs = {}

---The bytes of a regular file.
---
---Errors: `too_large`.
---@param path string
---@param max? integer bytes (default 64 MiB)
---@return string? bytes
---@return moongate.error? err
function fs.read(path, max) end

---@class moongate.fs.write_options
---@field mode? integer permission bits of the file (default 420, octal 644)

---Replaces a file: readers see the old or the new one whole, also after a crash.
---@param path string
---@param data string
---@param options? moongate.fs.write_options
---@return true? ok
---@return moongate.error? err
function fs.write(path, data, options) end

---The names in a directory, sorted by bytes, without "." and "..".
---@param path string
---@return string[]? names
---@return moongate.error? err
function fs.list(path) end

---@class moongate.fs.stat
---@field type "file"|"directory"|"other"
---@field size integer bytes
---@field mtime number last change, seconds since 1970
---@field mode integer permission bits

---Follows symbolic links.
---@param path string
---@return moongate.fs.stat? stat
---@return moongate.error? err
function fs.stat(path) end

---Makes a directory and its parents. One that exists is fine.
---@param path string
---@return true? ok
---@return moongate.error? err
function fs.mkdir(path) end

---Removes a file or an empty directory.
---@param path string
---@return true? ok
---@return moongate.error? err
function fs.remove(path) end

return fs
