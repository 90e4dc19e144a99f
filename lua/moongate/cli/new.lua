-- new.lua - `moongate new NAME`: a folder with a workflow, its test, a sample of its input and a project file. The
-- files are those in cli/new/, with their names changed.
local command_names = require "moongate.cli.names"
local errors = require "moongate.error"
local fail = require "moongate.fail"
local fs = require "moongate.fs"
local host = require "moongate.host"

local M = {}

-- Where each file goes; your_workflow stands for the name.
local FILES = {
  { "moongate/cli/new/project.lua", "moongate.lua" },
  { "moongate/cli/new/workflow.lua", "workflows/your_workflow.lua" },
  { "moongate/cli/new/test.lua", "tests/your_workflow_test.lua" },
  { "moongate/cli/new/sample.json", "sample.json" },
}

local LONGEST = 64

local function check_name(name)
  if not name:find "^%l[%l%d-]*$" or name:find "%-$" or name:find "%-%-" or #name > LONGEST then
    fail.usage("'%s' is not a valid name: lower-case words joined by '-', at most %d characters", name, LONGEST)
  end
  for _, taken in ipairs(command_names.all()) do
    if taken == name then fail.usage("'%s' is a command of moongate already", name) end
  end
end

-- Nothing that is there is touched.
local function check_place(folder)
  local stat = fs.stat(folder)
  if not stat then return end
  if stat.type == "directory" and #assert(fs.list(folder)) == 0 then return end
  errors.raise {
    code = "conflict", message = ("%s already exists; nothing was written"):format(folder),
    hint = "Choose another name, or remove it.",
  }
end

function M.run(ctx, args)
  local name = args.name
  check_name(name)
  check_place(name)
  local file_name = name:gsub("-", "_")
  local function named(text) return (text:gsub("your_workflow", file_name):gsub("your%-workflow", name)) end
  local written = {}
  for i, file in ipairs(FILES) do
    local path = name .. "/" .. named(file[2])
    assert(fs.mkdir(path:match "^(.*)/"))
    assert(fs.write(path, named(assert(host.embedded(file[1])))))
    written[i] = path
  end
  assert(fs.write(name .. "/.gitignore", ".moongate/\n"))
  local allowed, err = pcall(require("moongate.cli.allow").folder, name) -- what we have written ourselves
  if not allowed then ctx:note("the folder could not be allowed (%s); run: moongate allow %s", tostring(err), name) end
  ctx:note("next: cd %s && moongate test", name)
  ctx:result({ folder = name, files = written }, table.concat(written, "\n"))
end

return M
