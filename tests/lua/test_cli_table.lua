-- The command table as a whole: every command has a help with examples and exit statuses, and a wrong flag or word of
-- any of them is told with what was meant.
local t = require "moongate.test"
local bundled = require "moongate.bundled"
local commands = require "moongate.cli.commands"
local flags = require "moongate.flags"
local help = require "moongate.cli.help"

-- Calls fn(path, spec) for every command and bundled workflow.
local function each(fn)
  for _, command in ipairs(commands.commands) do
    fn(command.name, command)
    for _, sub in ipairs(command.commands or {}) do fn(command.name .. " " .. sub.name, sub) end
  end
  for _, name in ipairs(bundled.names()) do fn(name, bundled.load(name)) end
end

t.test("help: a summary, examples, exit statuses", function()
  each(function(path, spec)
    local text = help.of(path, spec)
    t.ok(text:find("^Usage: moongate " .. path:gsub("%p", "%%%0")), path)
    t.ok((spec.summary or "") ~= "", path .. " has no summary")
    t.ok(text:find "\nExamples\n  ", path .. " has no examples")
    t.ok(text:find "\nExit status\n  0 ", path .. " has no exit statuses")
  end)
end)

-- The exit statuses that a help lists.
local function statuses_of(path, spec)
  local found = {}
  local listed = help.of(path, spec):match "\nExit status\n(.-)\n\n"
  for status in listed:gmatch "%f[^\n\0] +(%d+) " do found[status] = true end
  return found
end

t.test("help of a group: an example of each command, and every exit status that one of them has", function()
  local groups = 0
  for _, command in ipairs(commands.commands) do
    if command.commands then
      groups = groups + 1
      local text, all = help.of(command.name, command), statuses_of(command.name, command)
      for _, sub in ipairs(command.commands) do
        local path = command.name .. " " .. sub.name
        t.ok(sub.exits, path .. " does not say its exit statuses")
        t.ok(text:find("\n  " .. path, 1, true), path .. " is not in the help of its group")
        t.ok(sub.examples and sub.examples[1][1]:find(path, 1, true), path .. " has no example of its own")
        t.ok(text:find(sub.examples[1][1], 1, true), path .. " has no example there")
        for status in pairs(statuses_of(path, sub)) do t.ok(all[status], ("%s: %s"):format(path, status)) end
      end
    end
  end
  t.eq(groups, 8)
end)

t.test("an example is of its command", function()
  each(function(path, spec)
    for _, example in ipairs(spec.examples or {}) do
      t.ok(example[1]:find("moongate", 1, true), ("%s: %s"):format(path, example[1]))
    end
  end)
end)

t.test("a flag that is nearly one is told with the one that was meant", function()
  each(function(path, spec)
    for _, flag in ipairs(spec.flags or {}) do
      if #flag[1] > 5 then
        local name = flag[1]
        local wrong = name:sub(1, 2) .. name:sub(4, 4) .. name:sub(3, 3) .. name:sub(5) -- two letters swapped
        if wrong ~= flag[1] then
          local _, faults = flags.parse(spec, { "--" .. wrong }, { globals = commands.globals })
          local told = table.concat(faults, "\n")
          t.ok(told:find("did you mean '--" .. flag[1] .. "'", 1, true), ("%s --%s: %s"):format(path, wrong, told))
        end
      end
    end
  end)
end)

t.test("a workflow says what it does to a gateway, who wrote it, and what it needs", function()
  for _, name in ipairs(bundled.names()) do
    local definition, effect = bundled.load(name), nil
    for _, category in ipairs(definition.categories) do
      if category == "read" or category == "write" or category == "destructive" then effect = category end
    end
    t.ok(effect, name .. " has none of read, write, destructive")
    t.ok(definition.author, name .. " has no author")
  end
end)
