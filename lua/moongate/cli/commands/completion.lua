-- completion.lua - the declaration of `moongate completion`, see commands.lua.
return {
  name = "completion",
  summary = "write what a shell needs to complete our command lines",
  description = {
    "Prints a script for bash, zsh or fish that completes commands, workflows, flags, their values and files. It is",
    "made of the same table as the help; `make install` puts it where the shells look.",
  },
  args = { { "shell", "bash, zsh or fish", choices = { "bash", "zsh", "fish" } } },
  examples = {
    { 'eval "$(moongate completion bash)"', "in ~/.bashrc" },
    { 'source <(moongate completion zsh)', "in ~/.zshrc, after compinit" },
    { "moongate completion fish | source", "in ~/.config/fish/config.fish" },
  },
}
