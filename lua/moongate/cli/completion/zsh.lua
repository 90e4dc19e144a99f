-- zsh.lua - the completion script for zsh: _describe and _arguments, with a line of what each thing is.
local M = {}

local HEAD = [=[
#compdef moongate
# zsh completion for moongate, written by `moongate completion zsh`.

_moongate_found() { # workflows of ./workflows and $MOONGATE_PATH
  local folder file
  for folder in workflows ${(s.:.)MOONGATE_PATH}; do
    for file in $folder/*.lua(N:t:r); do
      print -r -- ${file//_/-}
    done
  done
}

_moongate_workflow_or_file() {
  local -a found
  found=($_moongate_workflows ${(f)"$(_moongate_found)"})
  _alternative 'workflows:workflow:compadd -a found' 'files:file:_files'
}

_moongate_command() {
  local -a found
  found=(${(f)"$(_moongate_found)"})
  _describe -t commands command _moongate_commands
  (( $#found )) && _describe -t workflows workflow found
}
]=]

local TAIL = [=[

_moongate() {
  local curcontext=$curcontext state line
  local -A opt_args
  _arguments -C $_moongate_globals '1: :_moongate_command' '*:: :->rest' && return
  case $state in
  rest)
    local name="_moongate__${words[1]//[^a-zA-Z0-9]/_}"
    if (( $+functions[$name] )); then $name; else _arguments $_moongate_globals '*:file:_files'; fi
    ;;
  esac
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _moongate "$@"; else compdef _moongate moongate; fi
]=]

-- Inside '…'.
local function quoted(s) return "'" .. s:gsub("'", "'\\''") .. "'" end

local function described(s) return (s:gsub("[%[%]:\\]", "\\%0")) end

local function action(value)
  if value[1] == "words" then return "(" .. table.concat(value[2], " ") .. ")" end
  if value[1] == "file" then return "_files" end
  if value[1] == "folder" then return "_files -/" end
  if value[1] == "workflow" then return "_moongate_workflow_or_file" end
  if value[1] == "command" then return "_moongate_command" end
  return " "
end

local function specs(flags)
  local out = {}
  for _, flag in ipairs(flags) do
    local value = ""
    for _ = 1, flag.value and flag.words or 0 do
      value = ("%s:%s:%s"):format(value, described(flag.shown), action(flag.value))
    end
    local star = flag.repeated and "*" or ""
    local sign = flag.value and flag.words == 1 and "=" or ""
    out[#out + 1] = quoted(("%s--%s%s[%s]%s"):format(star, flag.name, sign, described(flag.summary), value))
    if flag.letter then
      out[#out + 1] = quoted(("%s-%s[%s]%s"):format(star, flag.letter, described(flag.summary), value))
    end
  end
  return out
end

local function function_name(path) return "_moongate__" .. path:gsub("%W", "_") end

local function add_node(out, node)
  local list = specs(node.flags)
  if node.subs then
    local rows = {}
    for i, sub in ipairs(node.subs) do rows[i] = quoted(described(sub.name) .. ":" .. described(sub.summary)) end
    out[#out + 1] = ([=[
%s() {
  local curcontext=$curcontext state line
  local -a subs
  subs=(%s)
  _arguments -C %s $_moongate_globals '1: :{_describe command subs}' '*:: :->rest' && return
  local name="%s_${words[1]//[^a-zA-Z0-9]/_}"
  (( $+functions[$name] )) && $name
}]=]):format(function_name(node.path), table.concat(rows, " "), table.concat(list, " "), function_name(node.path))
    return
  end
  for i, arg in ipairs(node.args) do
    list[#list + 1] = quoted(("%s:%s:%s"):format(arg.repeated and "*" or i, described(arg.name), action(arg)))
  end
  out[#out + 1] = ("%s() {\n  _arguments \\\n    %s%s\n}"):format(function_name(node.path),
    #list > 0 and table.concat(list, " \\\n    ") .. " \\\n    " or "", "$_moongate_globals")
end

function M.script(tree)
  local names, out = {}, { (HEAD:gsub("\n$", "")) }
  for _, node in ipairs(tree.nodes) do
    local row = quoted(described(node.path) .. ":" .. described(node.summary))
    if not node.path:find " " then names[#names + 1] = row end
  end
  out[#out + 1] = "\ntypeset -ga _moongate_commands _moongate_workflows _moongate_globals"
  out[#out + 1] = ("_moongate_commands=(\n  %s\n)"):format(table.concat(names, "\n  "))
  out[#out + 1] = ("_moongate_workflows=(%s)"):format(table.concat(require("moongate.bundled").names(), " "))
  out[#out + 1] = ("_moongate_globals=(\n  %s\n)\n"):format(table.concat(specs(tree.globals), "\n  "))
  for _, node in ipairs(tree.nodes) do add_node(out, node) end
  return table.concat(out, "\n") .. "\n" .. TAIL
end

return M
