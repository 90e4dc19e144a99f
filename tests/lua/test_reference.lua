-- docs/reference is what lua/meta says; help finds it; an editor's files are whole.
local t = require "moongate.test"
local api = require "moongate.meta.pages"
local fs = require "moongate.fs"
local help = require "moongate.cli.help"
local json = require "moongate.json"
local reference = require "moongate.cli.reference"
local types = require "moongate.cli.types"

t.test("docs/reference is as `make reference` writes it", function()
  local pages = reference.pages()
  for name, text in pairs(pages) do
    t.ok(fs.read("docs/reference/" .. name) == text, "docs/reference/" .. name .. " differs: run `make reference`")
  end
  for _, name in ipairs(assert(fs.list "docs/reference")) do
    t.ok(pages[name], "docs/reference/" .. name .. " is of no module")
  end
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
