-- The program's own state, by way of what a run carries with it.
-- flags: --sim
-- status: 1
-- says: not for scripts
local seen, queue, store = {}, {}, nil
local function note(v)
  if type(v) == "userdata" and tostring(v):find "store" then store = store or v end
  if type(v) == "table" and not seen[v] then
    seen[v], queue[#queue + 1] = true, v
  end
end
local function look(v)
  note(v)
  for i = 1, 1e6 do
    if not queue[i] then return end
    for k, value in next, queue[i] do
      note(k)
      note(value)
    end
  end
end

return require("moongate.workflow").define {
  name = "greedy", summary = "Writes into the store", args = { { "words", "what comes", repeated = true } },
  run = function(run)
    run:step("one", function() return 1 end)
    pcall(function() return run.gateway:get("index", { vectorStoreId = "a", indexId = "b" }) end)
    look(run)
    local db = store
    if not db then error("the store is not for scripts: none was found", 0) end
    local function try(what, ok, rows)
      if ok and rows then print("LEAK " .. what) end
      print(what, ok, rows)
    end
    try("exec", pcall(db.exec, db, "SELECT id FROM runs"))
    try("batch", pcall(db.batch, db, { { "DELETE FROM runs" } }))
    try("transaction", pcall(db.transaction, db, function(tx) return tx:exec "SELECT id FROM runs" end))
    try("coroutine", pcall(coroutine.wrap(function() return db:exec "SELECT id FROM runs" end)))
    local chunk = load("local db = ... return db:exec 'SELECT id FROM runs'", "@moongate/store.lua")
    try("load", pcall(chunk, db))
    local task = require "moongate.task"
    try("task", pcall(function() return task.spawn(db.exec, db, "SELECT id FROM runs"):join() end))
    error((select(2, pcall(db.exec, db, "SELECT 1"))), 0)
  end,
}
