-- bash.lua - the completion script for bash. It needs nothing but bash 4; bash-completion is not used.
local M = {}

local HEAD = [=[
# bash completion for moongate, written by `moongate completion bash`.

# What follows a flag of a command: "" it takes nothing; file, folder, workflow, command, any, or words.
_moongate_value() {
    case "$1 $2" in
]=]

local TAIL = [=[
# Workflows of ./workflows and $MOONGATE_PATH.
_moongate_found() {
    local folder file name
    local IFS=:
    for folder in workflows ${MOONGATE_PATH-}; do
        for file in "$folder"/*.lua; do
            [[ -f $file ]] || continue
            name=${file##*/}
            name=${name%.lua}
            printf '%s\n' "${name//_/-}"
        done
    done
}

_moongate_files() { # -d: folders alone
    local IFS=$'\n'
    compopt -o filenames 2>/dev/null
    COMPREPLY=($(compgen "$1" -- "$2"))
}

_moongate_reply() { # kind, word
    local IFS=$' \t\n'
    case $1 in
    any) ;;
    file) _moongate_files -f "$2" ;;
    folder) _moongate_files -d "$2" ;;
    workflow)
        COMPREPLY=($(compgen -W "$_moongate_workflows $(_moongate_found)" -- "$2"))
        [[ ${#COMPREPLY[@]} -gt 0 ]] || _moongate_files -f "$2"
        ;;
    command) COMPREPLY=($(compgen -W "$_moongate_commands $(_moongate_found)" -- "$2")) ;;
    *) COMPREPLY=($(compgen -W "$1" -- "$2")) ;;
    esac
}

_moongate() {
    local cur=${COMP_WORDS[COMP_CWORD]} command='' flag='' kind='' word
    local -i i plain=0 skip=0
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do # the command, and how many plain words it has
        word=${COMP_WORDS[i]}
        if [[ $word == = ]]; then
            skip=1
            continue
        elif ((skip > 0)); then
            ((skip -= 1))
            continue
        fi
        if [[ $word == -?* && $word != -e ]]; then
            flag=$word
            [[ -n $(_moongate_value "$command" "$word") ]] && skip=$(_moongate_words "$command" "$word")
        elif [[ -z $command ]]; then
            command=$word
        elif [[ $plain == 0 && " $_moongate_groups " == *" $command "* ]]; then
            command="$command $word"
        else
            ((plain += 1))
        fi
    done
    if [[ $cur == = ]]; then
        cur=
        kind=$(_moongate_value "$command" "${COMP_WORDS[COMP_CWORD - 1]}")
    elif [[ ${COMP_WORDS[COMP_CWORD - 1]} == = && $COMP_CWORD -gt 2 ]]; then
        kind=$(_moongate_value "$command" "${COMP_WORDS[COMP_CWORD - 2]}")
    elif ((skip > 0)); then
        kind=$(_moongate_value "$command" "$flag")
    fi
    if [[ -n $kind ]]; then
        _moongate_reply "$kind" "$cur"
    elif [[ $cur == -* ]]; then
        _moongate_reply "$(_moongate_flags "$command")" "$cur"
    elif [[ -z $command ]]; then
        _moongate_reply command "$cur"
    else
        _moongate_reply "$(_moongate_argument "$command" "$plain")" "$cur"
    fi
}
complete -F _moongate moongate
]=]

local function spelled(flag)
  return "--" .. flag.name, flag.letter and "-" .. flag.letter
end

local function words_of(value)
  return value[1] == "words" and table.concat(value[2], " ") or value[1]
end

-- Lines of a case over "command flag".
local function value_cases(out, prefix, flags)
  for _, flag in ipairs(flags) do
    if flag.value then
      local long, short = spelled(flag)
      local pattern = ("%s%s"):format(prefix, long) .. (short and ("|%s%s"):format(prefix, short) or "")
      out[#out + 1] = ("    %s) echo '%s' ;;"):format(pattern, words_of(flag.value))
    end
  end
end

local function names_of(flags)
  local names = {}
  for i, flag in ipairs(flags) do names[i] = "--" .. flag.name end
  return table.concat(names, " ")
end

local function lists(out, tree)
  local names, workflows, groups = {}, {}, {}
  for _, node in ipairs(tree.nodes) do
    if not node.path:find " " then names[#names + 1] = node.path end
    if node.subs then groups[#groups + 1] = node.path end
  end
  for _, name in ipairs(require("moongate.bundled").names()) do workflows[#workflows + 1] = name end
  out[#out + 1] = ("_moongate_commands='%s'"):format(table.concat(names, " "))
  out[#out + 1] = ("_moongate_workflows='%s'"):format(table.concat(workflows, " "))
  out[#out + 1] = ("_moongate_groups='%s'\n"):format(table.concat(groups, " "))
end

function M.script(tree)
  local out = { (HEAD:gsub("\n$", "")) }
  for _, node in ipairs(tree.nodes) do
    value_cases(out, ('"%s "'):format(node.path), node.flags)
  end
  value_cases(out, "*' '", tree.globals)
  out[#out + 1] = "    esac\n}\n\n# How many words a flag takes.\n_moongate_words() {\n    case \"$1 $2\" in"
  for _, node in ipairs(tree.nodes) do
    for _, flag in ipairs(node.flags) do
      if flag.words > 1 then out[#out + 1] = ('    "%s --%s") echo %d ;;'):format(node.path, flag.name, flag.words) end
    end
  end
  out[#out + 1] = "    *) echo 1 ;;\n    esac\n}\n\n_moongate_flags() {\n    case $1 in"
  for _, node in ipairs(tree.nodes) do
    if #node.flags > 0 then out[#out + 1] = ("    '%s') echo '%s' ;;"):format(node.path, names_of(node.flags)) end
  end
  out[#out + 1] = ("    esac\n    echo '%s'\n}\n"):format(names_of(tree.globals))
  out[#out + 1] = "# What the next plain word of a command is.\n_moongate_argument() {\n    case \"$1 $2\" in"
  for _, node in ipairs(tree.nodes) do
    if node.subs then
      local subs = {}
      for i, sub in ipairs(node.subs) do subs[i] = sub.name end
      out[#out + 1] = ("    '%s 0') echo '%s' ;;"):format(node.path, table.concat(subs, " "))
    end
    for i, arg in ipairs(node.args) do
      local pattern = arg.repeated and ("'%s '*"):format(node.path) or ("'%s %d'"):format(node.path, i - 1)
      out[#out + 1] = ("    %s) echo '%s' ;;"):format(pattern, words_of(arg))
    end
  end
  out[#out + 1] = "    *) echo file ;;\n    esac\n}\n"
  lists(out, tree)
  return table.concat(out, "\n") .. "\n" .. TAIL
end

return M
