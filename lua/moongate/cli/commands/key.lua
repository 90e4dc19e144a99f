-- key.lua - the declaration of `moongate key`, see commands.lua.

return {
  name = "key",
  summary = "create a key for checkpoints or approvals",
  commands = {
    {
      name = "new",
      exits = { 1, 3 },
      summary = "create a key and print its verifier key",
      description = {
        "Writes an Ed25519 key in PEM (PKCS#8) to a new file with mode 0600. The verifier key is public: give it to",
        "the people who verify signatures. Name the key of an audit log like the log (audit.origin).",
      },
      args = { { "name", "a name, as alice@example.com or example.com/moongate/prod" } },
      flags = { { "out", "write the key to this new file", value = "FILE", required = true } },
      examples = { { "moongate key new example.com/moongate/prod --out audit.key > audit.vkey" } },
    },
  },
}
