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
---@field new? boolean replace nothing: error `exists` when the name is taken

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

---A file, or standard input, line by line, in constant memory. One task reads at a time.
---@class moongate.fs.lines
local lines = {}

---The next lines, as they come: waits until there is one at least.
---
---Errors: `not_found`, `denied`, `io`, `closed`.
---@param most? integer lines, 1 to 1024 (default 256)
---@return (string|false)[]? lines without their line breaks; false: one that is longer than allowed. nil: the end
---@return integer|moongate.error|nil first number of the first of them, from 1; or the error
function lines:read(most) end

---@return integer bytes read of it so far
function lines:offset() end

---Ends a read that waits, too. Closing again is harmless; so does `<close>`.
function lines:close() end

---Errors: `denied`. A file that can't be opened is reported by the first read.
---@param path string "-": standard input
---@param max? integer bytes of a line (default 1 MiB)
---@return moongate.fs.lines? lines
---@return moongate.error? err
function fs.lines(path, max) end

return fs
