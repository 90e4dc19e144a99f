-- The project: where its gateway is, who is told of changes, what its scripts may do. Data only.
return {
  gateway = { region = "us-east-1" },
  -- webhooks    = { team = { url = "https://hooks.example.com/llm", secret = secret "HOOK_SECRET" } },
  -- limits      = { dimensions = 2048 },
  -- permissions = { net = { "hooks.example.com" } },
}
