-- context.lua - what a command works with: the global flags, and where its result goes out. A result is kept
-- until the command has ended, so that a failure after it still leaves one JSON document.
local errors = require "moongate.error"
local host = require "moongate.host"
local sandbox = require "moongate.sandbox"

local Context = {}
Context.__index = Context

local M = {}

function M.new(opts)
  local self = setmetatable({ opts = opts, json = opts.json }, Context)
  if self.json then sandbox.print = host.write_err end
  self.color_out, self.color_err = self:wants_color(1), self:wants_color(2)
  return self
end

function Context:wants_color(fd)
  local when = self.opts.color or "auto"
  if when == "always" then return true end
  if when == "never" or (host.getenv("NO_COLOR") or "") ~= "" or host.getenv("TERM") == "dumb" then return false end
  return host.isatty(fd)
end

-- The result: `value` for --json, `text` for people (lines, without the last line break).
function Context:result(value, text)
  self.value, self.shown = value, text
end

-- A result that is text by nature, such as a help page.
function Context:text(text)
  self:result({ text = text }, (text:gsub("\n$", "")))
end

-- The document with the metrics in it, where they were asked for, beside what a job has in a member of that name; one
-- that is no object goes below "result".
local function with_metrics(value, metrics)
  if not metrics then return value end
  local json = require "moongate.json"
  if value == json.null then return { metrics = metrics } end
  if type(value) ~= "table" or json.is_array(value) then return { result = value, metrics = metrics } end
  local own = value.metrics
  if type(own) == "table" and not json.is_array(own) then
    for name, metric in pairs(own) do metrics[name] = metrics[name] or metric end
  end
  value.metrics = metrics
  return value
end

-- A part of a result that is too large to be kept: on standard output now. With --json it is the inside of an array,
-- which the document that is written at the end begins with. Waits; true, or nil and the error.
function Context:stream(text)
  if self.json and not self.streaming then
    self.streaming = true
    text = '{"results":[\n' .. text
  end
  return host.write_out(self.json and host.visible(text) or text)
end

-- The document that ends the output: what was streamed is its first member.
function Context:document(text)
  if self.streaming then text = "\n]" .. (text == "{}" and "" or ",") .. text:sub(2) end
  return host.write(host.visible(text) .. "\n")
end

-- Turns what was kept into what is written: a result that has no JSON form is found while a failure can still be the
-- document. Raises.
function Context:settle()
  if not self.json then return end
  local json = require "moongate.json"
  local value = with_metrics(self.value == nil and json.null or self.value, self.metrics)
  local document, err = require("moongate.plain").encode(value)
  if not document then -- not "invalid": what was done is done, and no input was at fault
    errors.raise { code = "script", message = "the result " .. err.message, where = err.where }
  end
  self.encoded = document
end

-- Writes what was settled. true, or nil and the error (a closed pipe, a full disk).
function Context:flush()
  if self.json then return self:document(self.encoded) end
  if self.shown and self.shown ~= "" then return host.write(M.safe(self.shown) .. "\n") end
  return true
end

-- A line for people, on standard error; kept back by --quiet.
function Context:note(format, ...)
  if not self.opts.quiet then self:tell(format:format(...)) end
end

-- Text for people, on standard error.
function Context.tell(_, text)
  return host.write_err(M.safe(text) .. "\n")
end

-- Colours are put in behind everything else: no text from outside can hold one, or any other sequence.
local colour_mark -- drawn when the first colour is

-- Text as it may be printed: what others have put into it moves no cursor.
function M.safe(text)
  text = host.visible(text)
  if not colour_mark then return text end
  return (text:gsub("\\x01" .. colour_mark .. "(%d+)m", "\27[%1m"))
end

local CODES = { red = 31, green = 32, yellow = 33, bold = 1, dim = 2 }

function Context:paint(fd, name, s)
  local wanted = fd == 1 and self.color_out or fd == 2 and self.color_err
  if not wanted then return s end
  colour_mark = colour_mark or (require("moongate.uuid").v4():gsub("%X", ""))
  return ("\1%s%dm%s\1%s0m"):format(colour_mark, CODES[name], s, colour_mark)
end

local SIGNS = { ["+"] = "green", ["-"] = "red", ["~"] = "yellow" }

-- Lines for standard output, those that tell a change ("+ dimensions: 768") in its colour.
function Context:lines(list)
  if not self.color_out then return table.concat(list, "\n") end
  local out = {}
  for i, line in ipairs(list) do
    local sign = line:match "^%s*([+~-]) [^%s:]+: "
    out[i] = sign and self:paint(1, SIGNS[sign], line) or line
  end
  return table.concat(out, "\n")
end

return M
