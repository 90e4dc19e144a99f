-- outbox.lua - `moongate outbox`: another name of `moongate queue … --kind message`, until 1.0.
return require "moongate.cli.queue.message"
