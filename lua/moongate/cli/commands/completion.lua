-- completion.lua - the declaration of `moongate completion`, see commands.lua.
return {
  name = "completion",
  summary = "print a completion script for a shell",
  description = {
    "Completes commands, workflows, flags, their values and files in bash, zsh or fish. `make install` installs the",
    "scripts for all three.",
  },
  args = { { "shell", "a shell", choices = { "bash", "zsh", "fish" } } },
  examples = {
    { 'eval "$(moongate completion bash)"', "in ~/.bashrc" },
    { 'source <(moongate completion zsh)', "in ~/.zshrc, after compinit" },
    { "moongate completion fish | source", "in ~/.config/fish/config.fish" },
  },
}
