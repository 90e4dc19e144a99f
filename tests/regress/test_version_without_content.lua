-- An odd answer for a version that exists may hold no content: that is a conflict, not a bug.
local t = require "moongate.test"
local promotion = require "moongate.template.promotion"

t.test("a version without content, and a rollback to an unknown one, are conflicts", function()
  local template = { document = { templateId = "greeting", version = "1.2.0", content = "Hello", variables = {} } }
  for _, seen in ipairs { { version = {} }, { rollback = true, live = {} }, { rollback = true } } do
    local ok, err = pcall(promotion.promote, {}, template, seen)
    t.ok(not ok)
    t.eq(type(err) == "table" and err.code, "conflict")
  end
end)
