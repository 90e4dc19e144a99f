-- fish.lua - the completion script for fish: a `complete` line for each thing.
local M = {}

local HEAD = [=[
# fish completion for moongate, written by `moongate completion fish`.

# The words of the command line that are no flags, without the one being typed: "audit show".
function __moongate_words
    set -l words (commandline -opc)
    set -e words[1]
    set -l skip 0
    for word in $words
        if test $skip = 1
            set skip 0
        else if string match -qr -- '^-.' $word; and test "$word" != -e
            if contains -- $word $__moongate_valued
                set skip 1
            end
        else
            echo $word
        end
    end
end

function __moongate_none
    set -l words (__moongate_words)
    test (count $words) = 0
end

# The command is this one.
function __moongate_in
    set -l words (__moongate_words)
    test (count $words) -ge (count $argv); or return 1
    for i in (seq (count $argv))
        test "$words[$i]" = "$argv[$i]"; or return 1
    end
end

# The command is this one, and its second word is not there yet.
function __moongate_group
    set -l words (__moongate_words)
    test (count $words) = 1; and test "$words[1]" = "$argv[1]"
end

# Workflows of ./workflows and $MOONGATE_PATH.
function __moongate_found
    for folder in workflows (string split : -- $MOONGATE_PATH)
        for file in $folder/*.lua
            string replace -a _ - -- (basename $file .lua)
        end
    end
end

complete -c moongate -f
]=]

local function quoted(s) return "'" .. s:gsub("\\", "\\\\"):gsub("'", "\\'") .. "'" end

local function value_of(value, workflows)
  if not value then return "" end
  if value[1] == "words" then return " -x -a " .. quoted(table.concat(value[2], " ")) end
  if value[1] == "file" then return " -r -F" end
  if value[1] == "folder" then return " -x -a '(__fish_complete_directories)'" end
  if value[1] == "workflow" then return " -r -F -a " .. quoted(workflows .. " (__moongate_found)") end
  return " -x"
end

local function add_flags(out, flags, condition)
  for _, flag in ipairs(flags) do
    out[#out + 1] = ("complete -c moongate%s -l %s%s%s -d %s"):format(condition and " -n " .. quoted(condition) or "",
      flag.name, flag.letter and " -s " .. flag.letter or "", value_of(flag.value), quoted(flag.summary))
  end
end

local function add_args(out, node, workflows)
  local arg = node.args[1]
  if not arg or arg[1] == "any" then return end
  local condition = "__moongate_in " .. node.path
  if arg[1] == "file" or arg[1] == "folder" then
    out[#out + 1] = ("complete -c moongate -n %s -F"):format(quoted(condition))
  elseif arg[1] == "workflow" then
    out[#out + 1] = ("complete -c moongate -n %s -F -a %s"):format(quoted(condition),
      quoted(workflows .. " (__moongate_found)"))
  elseif arg[1] == "command" then
    out[#out + 1] = ("complete -c moongate -n %s -a %s"):format(quoted(condition),
      quoted("$__moongate_commands (__moongate_found)"))
  else
    out[#out + 1] = ("complete -c moongate -n %s -a %s"):format(quoted(condition), quoted(table.concat(arg[2], " ")))
  end
end

-- Flags that take a word, so that it is not taken for the command.
local function valued(tree)
  local names, seen = {}, {}
  local function add(flags)
    for _, flag in ipairs(flags) do
      if flag.value and not seen[flag.name] then
        seen[flag.name] = true
        names[#names + 1] = "--" .. flag.name
      end
    end
  end
  add(tree.globals)
  for _, node in ipairs(tree.nodes) do add(node.flags) end
  return table.concat(names, " ")
end

function M.script(tree)
  local out, names = { HEAD }, {}
  local workflows = table.concat(require("moongate.bundled").names(), " ")
  for _, node in ipairs(tree.nodes) do
    if not node.path:find " " then
      names[#names + 1] = node.path
      out[#out + 1] = ("complete -c moongate -n __moongate_none -a %s -d %s"):format(quoted(node.path),
        quoted(node.summary))
    end
  end
  out[#out + 1] = "complete -c moongate -n __moongate_none -a '(__moongate_found)' -d workflow"
  out[#out + 1] = "set -g __moongate_commands " .. table.concat(names, " ")
  out[#out + 1] = "set -g __moongate_valued " .. valued(tree)
  add_flags(out, tree.globals)
  for _, node in ipairs(tree.nodes) do
    for _, sub in ipairs(node.subs or {}) do
      out[#out + 1] = ("complete -c moongate -n %s -a %s -d %s"):format(quoted("__moongate_group " .. node.path),
        quoted(sub.name), quoted(sub.summary))
    end
    add_flags(out, node.flags, "__moongate_in " .. node.path)
    add_args(out, node, workflows)
  end
  return table.concat(out, "\n") .. "\n"
end

return M
