-- The reference has a page for each module; help finds it; an editor's files are whole.
local t = require "moongate.test"
local api = require "moongate.meta.pages"
local fs = require "moongate.fs"
local help = require "moongate.cli.help"
local json = require "moongate.json"
local reference = require "moongate.cli.reference"
local types = require "moongate.cli.types"

t.test("the reference has a page for each module, which its first page names", function()
  local pages, n = reference.pages(), 0
  for _, file in ipairs(assert(fs.list "lua/meta")) do
    local page = file:gsub("%.lua$", ".md")
    if pages[page] then
      n = n + 1
      t.ok(pages["README.md"]:find("(" .. page .. ")", 1, true), page)
      t.ok(pages[page]:find "^# ", page)
    end
  end
  t.ok(n > 15, n)
end)

t.test("help explains modules, functions, types and methods", function()
  t.ok(help.find({ "http.request" }):find("http.request(options) -> response, err", 1, true))
  t.ok(help.find({ "moongate.http.request" }):find("http.request(options)", 1, true))
  t.ok(help.find({ "index" }):find('require "moongate.index"', 1, true))
  t.ok(help.find({ "http.client:get" }):find(":get(", 1, true))
  t.ok(help.find({ "gateway.handle" }):find("handle:write(", 1, true))
  t.ok(help.find({ "gateway.write_options" }):find("on_conflict", 1, true))
  t.raises(function() help.find { "http.requets" } end, "did you mean 'http.request'")
  t.raises(function() help.find { "host.write" } end, "no command")
end)

t.test("every name that has help has a page", function()
  for _, name in ipairs(api.names()) do t.ok(api.find(name), name) end
end)

t.test("an editor's settings", function()
  local settings = assert(json.decode(types.settings "some/where"))
  t.eq(settings["workspace.library"], { "some/where" })
end)
