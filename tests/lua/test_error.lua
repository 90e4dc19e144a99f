-- Error objects: how they are made, how they print, what unhandled ones become.
local t = require "moongate.test"
local errors = require "moongate.error"
local task = require "moongate.task"

t.test("new keeps its fields and is told from a table", function()
  local e = errors.new { code = "http", message = "no", status = 503, extra = { 1 } }
  t.eq(e.code, "http")
  t.eq(e.extra, { 1 })
  t.ok(errors.is(e))
  t.ok(not errors.is { code = "http", message = "no" })
  t.ok(not errors.is "x")
  t.raises(function() errors.new { message = "no" } end, "code: a string is required")
  t.raises(function() errors.new { code = "x" } end, "message: a string is required")
  t.raises(function() errors.new "x" end, "table expected")
  t.raises(function() errors.is() end, "value expected")
end)

t.test("one line", function()
  t.eq(tostring(errors.new { code = "x", message = "no answer" }), "no answer")
  t.eq(tostring(errors.new { code = "x", message = "no", method = "PUT", path = "/a/b", status = 409,
    correlation_id = "c-1", attempts = 3 }), "no (PUT /a/b, status 409, correlation c-1, 3 attempts)")
  t.eq(tostring(errors.new { code = "x", message = "no", path = "/a" }), "no (/a)")
  t.eq(tostring(errors.new { code = "x", message = "no", method = "GET" }), "no (GET)")
  t.eq(tostring(errors.new { code = "x", message = ("m"):rep(5000), path = ("p"):rep(5000), method = "GET" }),
    ("m"):rep(5000) .. " (GET " .. ("p"):rep(5000) .. ")")
  t.eq(tostring(errors.new { code = "x", message = "no", attempts = 1 }), "no")
  local e = errors.new { code = "x", message = "no" }
  t.eq("failed: " .. e .. "!", "failed: no!")
  e.message = nil
  t.eq(tostring(e), "x")
  e.code = nil
  t.eq(tostring(e), "")
  e.message = {}
  t.eq(tostring(e), "")
end)

t.test("the metatable is out of reach", function()
  local e = errors.new { code = "x", message = "no" }
  t.eq(getmetatable(e), "moongate.error")
  t.raises(function() setmetatable(e, {}) end, "protected")
end)

t.test("assert passes the object on, with the place that gave up", function()
  local function get() return nil, errors.new { code = "http", message = "no" } end
  local err = t.fails("http", task.spawn(function() assert(get()) end):join())
  t.ok(err.where:find "test_error.lua:%d+", err.where)
end)

t.test("an unhandled error's position is not said twice", function()
  local err = t.fails(task.spawn(function() error "x: y: 1: z" end):join())
  t.eq(err.message, "x: y: 1: z")
  err = t.fails(task.spawn(function() local a = nil; return a.b end):join())
  t.ok(err.message:find "^attempt to index", err.message)
  t.ok(err.where:find "test_error.lua:%d+$", err.where)
end)

t.test("a plain table that is raised is told by its message", function()
  local raised = { code = "mine", message = "the quota is used up" }
  local err = t.fails(task.spawn(function() error(raised) end):join())
  t.eq(err.message, "the quota is used up")
  t.eq(err.value, raised)
  err = t.fails(task.spawn(function() error { 1, 2 } end):join())
  t.ok(err.message:find "^a table without a message", err.message)
  local own = setmetatable({}, { __tostring = function() return "its own" end })
  err = t.fails(task.spawn(function() error(own) end):join())
  t.eq(err.message, "its own")
  err = t.fails(task.spawn(function() error(print) end):join())
  t.ok(err.message:find "^function", err.message)
end)
