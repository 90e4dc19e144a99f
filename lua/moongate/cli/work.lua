-- work.lua - `moongate work`: another name of `moongate queue work` and of `moongate queue … --kind prompt`, until 1.0.
return require "moongate.cli.queue.prompt"
