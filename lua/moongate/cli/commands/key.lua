-- key.lua - the declaration of `moongate key`, see commands.lua.

return {
  name = "key",
  summary = "create keys that sign checkpoints and approvals",
  commands = {
    {
      name = "new",
      exits = { 1, 3 },
      summary = "create a key, and print its verifier key",
      description = {
        "An Ed25519 key in PEM (PKCS#8), in a new file for its owner alone. The verifier key is public: give it to",
        "whoever checks the signatures. The key of an audit log has the log's name (audit.origin).",
      },
      args = { { "name", "such as alice@example.com or example.com/moongate/prod" } },
      flags = { { "out", "the file to create", value = "FILE", required = true } },
      examples = { { "moongate key new example.com/moongate/prod --out audit.key > audit.vkey" } },
    },
  },
}
