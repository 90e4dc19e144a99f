-- man.lua - the manual page, as roff, from the same tables as the help.
local bundled = require "moongate.bundled"
local commands = require "moongate.cli.commands"
local flag_rows = require "moongate.cli.flag_rows"
local flags = require "moongate.flags"
local host = require "moongate.host"

local M = {}

-- Text as roff: "\" and "-" as they are, no line that begins with a control character.
local function roff(s)
  s = s:gsub("\\", "\\e"):gsub("%-", "\\-"):gsub("'", "\\(aq"):gsub("`", "\\(ga")
  s = s:gsub("[\xC2-\xF4][\x80-\xBF]+", function(char) return ("\\[u%04X]"):format(utf8.codepoint(char)) end)
  return (s:gsub("^%.", "\\&."):gsub("\n%.", "\n\\&."))
end

local Page = {}
Page.__index = Page

function Page:add(format, ...) self[#self + 1] = format:format(...) end
function Page:section(title) self:add(".SH %s", title) end
function Page:paragraph(s) self:add(".PP\n%s", roff(s)) end

function Page:entry(tag, s)
  self:add(".TP\n\\fB%s\\fR\n%s", roff(tag), roff(s ~= "" and s or tag))
end

function Page:rows(rows)
  for _, row in ipairs(rows) do self:entry(row[1], row[2] or "") end
end

-- A command or workflow as a subsection.
function Page:command(name, spec)
  self:add(".SS %s", roff(name))
  self:add("\\fBmoongate %s\\fR", roff(flags.synopsis(name, spec)))
  self:paragraph((spec.summary or ""):gsub("^%l", string.upper) .. ".")
  local description = spec.description
  if description then self:paragraph(type(description) == "table" and table.concat(description, " ") or description) end
  for _, arg in ipairs(spec.args or {}) do self:entry(arg[1]:upper(), arg[2] or "") end
  self:rows(flag_rows.of(spec.flags))
  if spec.more then self:add(".PP\n.EX\n%s\n.EE", roff(flag_rows.more(spec))) end
  for i, example in ipairs(spec.examples or {}) do
    self:add("%s\n.EX\n%s\n.EE", i == 1 and ".PP\nExamples:" or "", roff(example[1]))
  end
end

-- What scripts can require, a line a function.
function Page:modules()
  local api, meta = require "moongate.meta.pages", require "moongate.meta"
  self:section("MODULES")
  self:paragraph("What scripts can require; moongate help NAME has parameters and results.")
  for _, name in ipairs(api.public_modules()) do
    local module = meta.module(name)
    self:add(".SS %s", roff(name))
    self:paragraph(api.first_sentence(module.doc) .. ".")
    for _, fn in ipairs(module.functions) do
      local first = api.first_sentence(fn.doc)
      self:entry(api.signature(fn, name), first ~= "" and first .. "." or api.short(name) .. "." .. fn.name)
    end
  end
end

function M.page()
  local page = setmetatable({}, Page)
  page:add('.TH MOONGATE 1 "" "moongate %s" "User Commands"', roff(host.version().moongate))
  page:section("NAME")
  page:add("moongate \\- %s", roff(commands.summary))
  page:section("SYNOPSIS")
  page:add(".B moongate\n.RI [ \"global flags\" ]\n.I command\n.RI [ args ]")
  page:section("DESCRIPTION")
  page:paragraph(table.concat(commands.description, " "))
  page:section("COMMANDS")
  for _, command in ipairs(commands.commands) do
    if command.commands then
      if command.bare then page:command(command.name, command) end
      for _, sub in ipairs(command.commands) do page:command(command.name .. " " .. sub.name, sub) end
    else
      page:command(command.name, command)
    end
  end
  page:section("WORKFLOWS")
  for _, name in ipairs(bundled.names()) do page:command(name, bundled.load(name)) end
  page:modules()
  page:section("GLOBAL FLAGS")
  page:rows(flag_rows.of(commands.globals))
  page:paragraph(table.concat(commands.flags_note, " "))
  page:section("SECRETS")
  page:paragraph(table.concat(commands.secrets_note, " "))
  page:section("ENVIRONMENT")
  page:rows(commands.environment)
  page:section("FILES")
  page:rows(commands.files)
  page:section("EXIT STATUS")
  for _, row in ipairs(commands.exit_statuses) do page:entry(tostring(row[1]), row[2]) end
  return table.concat(page, "\n") .. "\n"
end

return M
