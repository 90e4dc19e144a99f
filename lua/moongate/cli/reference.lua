-- reference.lua - lua/meta as pages of Markdown, one for each module. `moongate help --reference DIR` writes
-- them; a test compares.
local api = require "moongate.meta.pages"
local meta = require "moongate.meta"

local M = {}

local Page = {}
Page.__index = Page

function Page:add(format, ...) self[#self + 1] = select("#", ...) > 0 and format:format(...) or format end

-- Text that is none of Markdown's own, where code marks are already.
local function escaped(s)
  return (s:gsub("%b``", "\0%0\0"):gsub("[<>|*]", function(c)
    return "\\" .. c
  end):gsub("\0`(.-)`\0", function(code) return "`" .. code:gsub("\\([<>|*])", "%1") .. "`" end))
end

local function doc_of(page, doc)
  for paragraph in (doc .. "\n\n"):gmatch "(.-)\n\n+" do
    if paragraph ~= "" then page:add("\n" .. escaped(paragraph)) end
  end
end

local function typed(entry) return "`" .. api.short(entry.type) .. "`" end

local function entries(page, list)
  for _, entry in ipairs(list) do
    local absent = entry.optional and not entry.type:find "%?$" and "?" or ""
    if (entry.name or ""):sub(1, 1) == "_" then goto continue end -- for modules of the program
    local name = entry.name and ("`%s%s` "):format(entry.name, absent) or ""
    page:add("- %s%s%s", name, typed(entry), entry.doc ~= "" and " " .. escaped(entry.doc) or "")
    ::continue::
  end
end

local function fn_of(page, fn, owner)
  page:add("\n### `%s`", api.signature(fn, owner))
  doc_of(page, fn.doc)
  if #fn.params + #fn.returns > 0 then page:add "" end
  entries(page, fn.params)
  if #fn.returns > 0 then
    if #fn.params > 0 then page:add "" end
    page:add "Results:\n"
    entries(page, fn.returns)
  end
end

-- M.page(module name) -> Markdown
function M.page(name)
  local module = meta.module(name)
  local short = api.short(name)
  local page = setmetatable({}, Page)
  page:add("# %s\n\n```lua\nlocal %s = require %q\n```", short,
    _G[short] and short .. "s" or short, name)
  doc_of(page, module.doc)
  if #module.fields > 0 then page:add "\n## Fields\n" end
  entries(page, module.fields)
  if #module.functions > 0 then page:add "\n## Functions" end
  for _, fn in ipairs(module.functions) do fn_of(page, fn, name) end
  for _, alias in ipairs(module.aliases) do
    if alias.values then
      page:add("\n## %s", api.short(alias.name))
      doc_of(page, alias.doc)
      page:add ""
    end
    for _, value in ipairs(alias.values or {}) do
      page:add("- `%s`%s", value.value, value.doc ~= "" and ": " .. escaped(value.doc) or "")
    end
  end
  for _, class in ipairs(module.classes) do
    local own = class.name == module.class
    if not own and #class.fields + #class.methods > 0 then
      page:add("\n## %s", api.short(class.name))
      doc_of(page, class.doc)
      if #class.parents > 0 then page:add("\nHas all of `%s`, too.", api.short(table.concat(class.parents, "`, `"))) end
      if #class.fields > 0 then page:add "" end
      entries(page, class.fields)
      for _, fn in ipairs(class.methods) do fn_of(page, fn, class.name:match "([^.]+)$") end
    end
  end
  return table.concat(page, "\n") .. "\n"
end

local function index()
  local page = setmetatable({}, Page)
  page:add "# Reference\n"
  page:add "What the modules offer, from lua/meta: `make reference` writes these pages. The same text is shown by"
  page:add "`moongate help http.request`, by `help(http.request)` at the prompt, and by an editor that `moongate types`"
  page:add "has set up. [scripting.md](../scripting.md) shows how things go together.\n"
  page:add "| module | |\n|---|---|"
  for _, name in ipairs(api.public_modules()) do
    local short = api.short(name)
    page:add("| [%s](%s.md) | %s |", short, short, escaped(api.first_sentence(meta.module(name).doc)))
  end
  return table.concat(page, "\n") .. "\n"
end

-- M.pages() -> {file name = text}
function M.pages()
  local pages = { ["README.md"] = index() }
  for _, name in ipairs(api.public_modules()) do pages[api.short(name) .. ".md"] = M.page(name) end
  return pages
end

-- M.write(folder) -> how many pages
function M.write(folder)
  local fs, n = require("moongate.host").fs, 0
  assert(fs.mkdir(folder))
  for name, text in pairs(M.pages()) do
    assert(fs.write(folder .. "/" .. name, text))
    n = n + 1
  end
  return n
end

return M
