-- Templates: every bad file tells all its faults at once, with their places; the good ones come through, render, and
-- give each subject its variant.
local errors = require "moongate.error"
local fs = require "moongate.fs"
local json = require "moongate.json"
local t = require "moongate.test"
local template = require "moongate.template"

local FIXTURES = "tests/lua/fixtures/bad_template/"
local FOLDER = "build/tmp/test_template"

-- ---- bad files ----

-- What a loader raises: a list of {pointer or "file", message, where, …}.
local function faults_of(fn, ...)
  local ok, err = pcall(fn, ...)
  t.ok(not ok, "nothing was raised")
  t.ok(errors.is(err), "no error object: " .. tostring(err))
  t.eq(err.code, "invalid", tostring(err))
  return err.details, err
end

-- file -> every fault: {where it is, behind the file's name; pointer, or "file"; pattern of the message}, in order.
local BAD = {
  ["content_4097.json"] = { { ":4", "/content", "at most 4096 characters long, is 4097" } },
  ["content_empty.json"] = { { ":4", "/content", "empty" } },
  ["content_number.json"] = { { ":4", "/content", "must be a string" } },
  ["document_list.json"] = { { ":1", "", "must be an object" } },
  ["duplicate_member.json"] = { { ":3", "file", "twice" } },
  ["empty_object.json"] = {
    { ":1", "/templateId", "missing" }, { ":1", "/version", "missing" }, { ":1", "/content", "missing" },
  },
  ["id_control.json"] = { { ":2", "/templateId", "control" } },
  ["id_dots.json"] = { { ":2", "/templateId", "part of a path" } },
  ["id_empty.json"] = { { ":2", "/templateId", "empty" } },
  ["many.json"] = {
    { ":2", "/templateId", "part of a path" },
    { ":3", "/version", "semantic version" },
    { ":4", "/content", "^line 1, column 1 of the content: {{ a }}" },
    { ":4", "/content", "^line 1, column 9 of the content: {{b}} is not declared" },
    { ":4", "/content", "^line 2, column 1 of the content: {{c is not closed" },
    { ":6", "/variables/d", "has no {{d}}" },
    { ":7", "/variables/2e", "not a name" },
    { ":9", "/rollbackDirective", "boolean" },
    { ":11", "/abTestingTrigger/enabled", "boolean" },
    { ":12", "/abTestingTrigger/trafficPercent", "fraction .* 0.2 for 20 %%" },
    { ":13", "/abTestingTrigger/variantId", "letters" },
    { ":16", "/metadata/x", "string" },
    { ":18", "/extra", "not a field" },
  },
  ["metadata_number.json"] = { { ":10", "/metadata/owner", "string" } },
  ["not_json.json"] = { { ":1", "file", "not valid JSON" } },
  ["placeholder_dash.json"] = { { ":4", "/content", "^line 1, column 10 .*{{order%-id}}" } },
  ["placeholder_digit.json"] = { { ":4", "/content", "^line 1, column 20 .*begins with a letter" } },
  ["placeholder_empty.json"] = { { ":4", "/content", "^line 1, column 15 .*{{}} names no variable" } },
  ["placeholder_not_ascii.json"] = { { ":4", "/content", "^line 1, column 25 .*{{größe}}" } },
  ["placeholder_open.json"] = { { ":4", "/content", "^line 2, column 12 .*{{order_id is not closed" } },
  ["placeholder_space.json"] = { { ":4", "/content", "^line 1, column 7 .*write {{name}}" } },
  ["placeholder_triple.json"] = { { ":4", "/content", "^line 1, column 1 .*3 braces" } },
  ["rollback_text.json"] = { { ":8", "/rollbackDirective", "boolean" } },
  ["rollback_split.json"] = { { ":8", "/rollbackDirective", "two things" } },
  ["side.txt"] = {
    { "side.meta.json:3", "/version", "semantic" }, { "side.meta.json:4", "/variables/city", "has no {{city}}" },
    { ":2:1", "/content", "{{1x}}" },
  },
  ["side_list.txt"] = { { "side_list.meta.json", "", "must be an object" } },
  ["side_twice.txt"] = { { ":1", "file", "keep one" } },
  ["split_missing.json"] = {
    { ":9", "/abTestingTrigger/trafficPercent", "missing" }, { ":9", "/abTestingTrigger/variantId", "missing" },
  },
  ["split_negative.json"] = { { ":11", "/abTestingTrigger/trafficPercent", "at least 0" } },
  ["split_not_whole.json"] = { { ":11", "/abTestingTrigger/trafficPercent", "12.5 %%" } },
  ["split_percent.json"] = { { ":11", "/abTestingTrigger/trafficPercent", "0.2 for 20 %%" } },
  ["split_unknown.json"] = { { ":13", "/abTestingTrigger/variantID", "did you mean 'variantId'" } },
  ["split_variant.json"] = { { ":12", "/abTestingTrigger/variantId", "letters" } },
  ["text_content_twice.txt"] = { { ":4", "/content", "is the text of the file" } },
  ["text_empty.txt"] = { { ":1", "file", "no metadata" } },
  ["text_front_matter_lines.txt"] = {
    { ":3", "file", "not key: value" }, { ":4", "file", "variables has no value" }, { ":5", "file", "white space" },
    { ":6", "file", "there twice" }, { ":8", "file", "owner.name" }, { ":1", "/version", "missing" },
    { ":7", "/metadata/x.y", "string" },
  },
  ["text_front_matter_open.txt"] = { { ":1", "file", "no end" } },
  ["text_json_header.txt"] = { { ":5", "file", "line 5" } },
  ["text_json_header_faults.txt"] = {
    { ":4", "/version", "semantic" }, { ":5", "/variables/name", "has no" },
    { ":8:7", "/content", "{{nam}} is not declared in variables %(did you mean 'name'" },
  },
  ["text_no_content.txt"] = { { ":5", "/content", "empty" } },
  ["text_no_metadata.txt"] = { { ":1", "file", "text_no_metadata.meta.json" } },
  ["text_not_utf8.txt"] = { { ":6:16", "file", "UTF%-8" } },
  ["text_placeholders.txt"] = { { ":8:6", "/content", "{{ order }}" }, { ":9:9", "/content", "{{url}}" } },
  ["text_values.txt"] = {
    { ":5", "file", "not closed" }, { ":2", "/templateId", "string" }, { ":3", "/version", "string" },
    { ":4", "/variables/name", "object" }, { ":7:16", "/content", "{{city}}" },
  },
  ["undeclared.json"] = { { ":4", "/content", "^line 1, column 17 .*{{order}} is not declared" } },
  ["undeclared_near.json"] = { { ":4", "/content", "did you mean 'name'" }, { ":6", "/variables/name", "has no" } },
  ["unknown_member.json"] = { { ":9", "/contnet", "did you mean 'content'" } },
  ["unused.json"] = { { ":7", "/variables/tone", "{{tone}}" }, { ":8", "/variables/city", "{{city}}" } },
  ["variable_list.json"] = { { ":6", "/variables/name", "array" } },
  ["variable_name.json"] = { { ":7", "/variables/1st", "not a name" } },
  ["variable_null.json"] = { { ":6", "/variables/name", "null" } },
  ["variables_list.json"] = { { ":5", "/variables", "must be an object" } },
  ["variables_list_empty.json"] = { { ":5", "/variables", "must be an object" } },
  ["version_leading_zero.json"] = { { ":3", "/version", "leading zeros" } },
  ["version_number.json"] = { { ":3", "/version", "string" } },
  ["version_prerelease.json"] = { { ":3", "/version", "empty part" } },
  ["version_two_parts.json"] = { { ":3", "/version", "MAJOR.MINOR.PATCH" } },
  ["version_v.json"] = { { ":3", "/version", "MAJOR.MINOR.PATCH" } },
  ["window_small.json"] = { { ":4", "/content", "estimated 4 tokens .15 characters.*of 3$" } },
  ["window_text.json"] = { { ":10", "/metadata/maxContextWindow", "whole number" } },
}

local function compare(file, details)
  for i, expected in ipairs(BAD[file]) do
    local fault = details[i]
    t.ok(fault, ("fault %d of %d is not there"):format(i, #BAD[file]))
    local where = expected[1]:sub(1, 1) == ":" and file .. expected[1] or expected[1]
    t.eq(fault.where, FIXTURES .. where, fault.message)
    t.eq(fault.pointer or "file", expected[2], fault.message)
    t.ok(fault.message:find(expected[3]), fault.message)
  end
  t.eq(#details, #BAD[file], details[#details].message)
end

for _, file in ipairs(assert(fs.list(FIXTURES))) do
  if not file:find("%.meta%.json$") then
    t.test("bad template: " .. file, function()
      t.ok(BAD[file], "no expectation")
      compare(file, (faults_of(template.load, FIXTURES .. file)))
    end)
  end
end

t.test("all bad files together: every fault of every file in one error; side files are no templates", function()
  local expected, shared = 0, 0
  for _, faults in pairs(BAD) do expected = expected + #faults end
  local details, err = faults_of(template.load_all, { FIXTURES })
  for _, d in ipairs(details) do shared = shared + (d.message:find("is the templateId of .* too$") and 1 or 0) end
  t.eq(#details - shared, expected)
  t.ok(shared > 0, "two files share a templateId")
  t.ok(err.message:find("nothing was sent", 1, true))
  t.eq(require("moongate.exit_status").of(err), 3)
end)

t.test("files that are not there, a folder without templates, a name of no file", function()
  assert(fs.mkdir(FOLDER .. "/none"))
  local details = faults_of(template.load_all, { FOLDER .. "/nothing.json", FOLDER .. "/none", "" })
  t.eq(#details, 3)
end)

-- ---- good files ----

local function document(changes)
  local d = {
    templateId = "greeting", version = "1.0.0", content = "Hello {{name}}.", variables = { name = "string" },
    rollbackDirective = false,
  }
  for k, v in pairs(changes or {}) do d[k] = v end
  return d
end

local function check(changes, opts)
  local result, faults = template.check(document(changes), opts)
  return result, faults and faults[1].message or nil, faults
end

local function text_file(name, text)
  assert(fs.mkdir(FOLDER))
  assert(fs.write(FOLDER .. "/" .. name, text))
  return FOLDER .. "/" .. name
end

local FRONT = '---\ntemplateId: greeting\nversion: 1.0.0\nvariables.name: string\nvariables.n: 3\nvariables.on: true\n'
  .. 'variables.tone: "true"\nmetadata.owner: the team: support\n---\n'
local CONTENT = "Hello {{name}}, {{n}} {{on}}\n\n{{tone}}"

t.test("a text file with front matter, with a JSON header, with a side file: the same document", function()
  local wanted = {
    templateId = "greeting", version = "1.0.0", content = CONTENT, rollbackDirective = false,
    variables = { name = "string", n = 3, on = true, tone = "true" }, metadata = { owner = "the team: support" },
  }
  local meta = json.decode(json.encode(wanted))
  meta.content = nil
  local a = template.load(text_file("a.txt", FRONT .. CONTENT .. "\n"))
  local b = template.load(text_file("b.txt", "---\n" .. json.encode(meta) .. "\n---\n" .. CONTENT .. "\n"))
  text_file("c.meta.json", json.encode(meta))
  local c = template.load(text_file("c.txt", CONTENT .. "\n"))
  text_file("d.json", json.encode(wanted))
  local d = template.load(FOLDER .. "/d.json")
  for _, got in ipairs { a, b, c, d } do t.eq(got.document, wanted, got.file) end
  t.eq(a.characters, utf8.len(CONTENT))
end)

t.test("one line end at the end of a text file is the editor's; the others are \\n, whatever wrote them", function()
  t.eq(template.load(text_file("e.txt", FRONT .. CONTENT .. "\n\n")).document.content, CONTENT .. "\n")
  t.eq(template.load(text_file("e.txt", FRONT .. CONTENT)).document.content, CONTENT)
  for _, ending in ipairs { "\r\n", "\r" } do
    local text = "\u{FEFF}" .. (FRONT .. CONTENT .. "\n"):gsub("\n", ending)
    t.eq(template.load(text_file("e.txt", text)).document.content, CONTENT)
  end
  t.eq(template.load(text_file("e.txt", FRONT .. "---\n" .. CONTENT)).document.content, "---\n" .. CONTENT)
end)

t.test("front matter: comments, quotes and words as YAML has them", function()
  local function fields(lines)
    return template.load(text_file("y.txt", "---\nversion: 1.0.0\n" .. lines .. "\n---\nHello.\n")).document
  end
  local function fault(line)
    local ok, err = pcall(fields, "templateId: x\nmetadata.note: " .. line)
    t.ok(not ok, line)
    return err.details[1].where .. " " .. err.details[1].message
  end
  for line, id in pairs {
    ["templateId: offers  # ours"] = "offers", ["templateId: 'offers'"] = "offers",
    ["templateId: 'it''s' # o"] = "it's", ['templateId: "a # b"#1'] = false, ['templateId: "a # b" #1'] = "a # b",
    ["templateId: 'a # b'"] = "a # b", ["templateId: a#b"] = "a#b", ["'templateId': q"] = "q",
    ['"templateId": "q\\"r"'] = 'q"r', ["  # a comment\ntemplateId: x\t# y"] = "x",
  } do
    local ok, got = pcall(fields, line)
    t.eq(ok and got.templateId, id, line)
  end
  t.eq(fields("templateId: t\nrollbackDirective: True # yes").rollbackDirective, true)
  local trigger = '{"enabled": true, "trafficPercent": 0.2, "variantId": "b"}'
  t.eq(fields("templateId: t\nabTestingTrigger: " .. trigger .. " # for # b").abTestingTrigger, json.decode(trigger))
  t.ok(fault("'open"):find("not closed", 1, true))
  t.ok(fault("'a' b"):find("behind the closing quote", 1, true))
  t.ok(fault("# nothing"):find("has no value", 1, true))
  for _, line in ipairs { "|", "> x", "&a b", "*a", "!!str x", "@x", "%x", "`x" } do
    t.ok(fault(line):find("y.txt:4 ", 1, true) and fault(line):find("not read here", 1, true), line)
  end
end)

t.test("what may be left out is filled in", function()
  local got = assert(template.check { templateId = "x", version = "1.0.0", content = "No variables." })
  t.eq(got.document, {
    templateId = "x", version = "1.0.0", content = "No variables.", variables = {}, rollbackDirective = false,
  })
  t.ok(not json.is_array(got.document.variables))
  t.ok(json.encode(got.document):find('"variables":{}', 1, true))
end)

t.test("the bundled examples are good", function()
  t.eq(#template.load_all { "scripts/examples/template.json", "scripts/examples/support_answer.txt" }, 2)
end)

t.test("versions: what semver.org allows", function()
  for _, good in ipairs { "0.0.0", "1.2.3-alpha.1", "1.0.0-0.3.7", "1.0.0-x-y-z.--", "1.0.0+20130313144700",
    "1.0.0-beta+exp.sha.5114f85", "10.20.30", "1.0.0--", "1.0.0+0.build.1-rc.10000aaa-kk-0.1" } do
    t.eq((select(2, check { version = good })), nil, good)
  end
  for _, bad in ipairs { "1", "1.2", "01.1.1", "1.2.3-0123", "1.2.3-", "1.2.3+", "1.2.3-a..b", "1.2.3+a+b", "1.2.3 ",
    "-1.0.3", "1.2.3.4", "1.2.3-a_b", "1.0.0\n" } do
    t.ok(select(2, check { version = bad }), bad)
  end
end)

-- ---- placeholders, length, tokens ----

t.test("tutorial fault 5: a placeholder used twice is no fault", function()
  local got = check { content = "{{name}}, {{name}} and {{name}}" }
  t.eq(got.estimated_tokens, 8)
end)

t.test("tutorial fault 11: length is counted in characters, not bytes", function()
  local content = ("漢"):rep(4088) .. "{{name}}"
  t.eq(#content, 4088 * 3 + 8)
  t.eq(check({ content = content }).characters, 4096)
  t.ok(select(2, check { content = content .. "é" }):find("at most 4096 characters long, is 4097"))
  t.eq(check({ content = content .. "é" }, { limits = { content_characters = 5000 } }).characters, 4097)
end)

t.test("braces that are no placeholder's are text", function()
  for _, content in ipairs { '{"a": {"b": {{name}}}}', "{{name}}}}", "}} {{name}} {", "{ {{name}} }" } do
    t.eq((select(2, check { content = content })), nil, content)
  end
end)

t.test("malformed placeholders: each with its line and column, in characters", function()
  local content = "ä{{name}}\né {{ x}} {{x y}}{{{{z}}}}\n{{a\n{{b {{name}} {{c}"
  local _, _, faults = check({ content = content }, { limits = { content_characters = 100 } })
  local places = {}
  for i, f in ipairs(faults) do
    places[i] = ("%d:%d %s"):format(f.content_line, f.content_column, f.message:match(": (.*)"))
  end
  t.eq(places, {
    "2:3 {{ x}} has white space inside: write {{x}}",
    "2:10 {{x y}} is not a placeholder: a name has letters, digits and _ only",
    "2:17 {{{{: 4 braces in a row are not a placeholder; put a space between",
    "3:1 {{a is not closed",
    "4:1 {{b is not closed",
    "4:14 {{c} is not closed",
  })
end)

t.test("a large file full of faults is no long wait: a hundred are told, and how many more there are", function()
  local started = require("moongate.time").monotonic()
  for _, piece in ipairs { "{{ é", "{{é}} ", "{{x%d}}", "{{{" } do
    local parts = {}
    for i = 1, 60000 do parts[i] = piece:format(i) end
    local _, _, faults = check({ content = table.concat(parts) })
    t.ok(#faults <= 103, #faults)
  end
  t.ok(require("moongate.time").monotonic() - started < 10)
end)

t.test("a name that stands in a malformed placeholder is not told as unused, too", function()
  local _, _, faults = check { content = "Hello {{ name }}." }
  t.eq(#faults, 1)
end)

t.test("tokens: a quarter of the characters, against threshold, project limit, metadata, --model-window", function()
  local content = ("x"):rep(393) .. "{{name}}" -- 401 characters: 101 tokens
  t.eq(check({ content = content }).estimated_tokens, 101)
  t.eq(check({ content = content }).threshold, 3800)
  t.ok(select(2, check({ content = content }, { limits = { prompt_tokens = 100 } })):find("101 tokens"))
  t.eq(check({ content = content }, { limits = { prompt_tokens = 101 } }).threshold, 101)
  t.ok(select(2, check { content = content, metadata = { maxContextWindow = "100" } }):find("maxContextWindow"))
  t.ok(select(2, check({ content = content, metadata = { maxContextWindow = "9000" } }, { model_window = 99 })))
  t.eq(check({ content = content, metadata = { maxContextWindow = "99" } }, { model_window = 101 }).threshold, 101)
end)

t.test("a default that looks like a type is warned about", function()
  local got = check {
    content = "{{a}} {{b}} {{c}} {{d}}", variables = { a = "int", b = "String", c = "plain", d = "integer" },
  }
  t.eq(#got.warnings, 2)
  t.ok(got.warnings[1]:find('variables.a: "int" is a default value; the type would be "integer"', 1, true))
end)

t.test("--split and --variant go before the file's trigger", function()
  local trigger = { enabled = false, trafficPercent = 0.5, variantId = "old" }
  local got = check({ abTestingTrigger = trigger }, { split = 0.2, variant = "new" })
  t.eq(got.document.abTestingTrigger, { enabled = true, trafficPercent = 0.2, variantId = "new" })
  t.eq(template.ab_header(got.document), "variant=new,traffic=20")
  got = check({ abTestingTrigger = trigger }, { split = 0.29 })
  t.eq(template.ab_header(got.document), "variant=old,traffic=29")
  t.eq(template.ab_header(check { abTestingTrigger = trigger }.document), nil)
  t.ok(select(2, check(nil, { split = 0.2 })):find("missing"))
  local back = { rollbackDirective = true }
  t.ok(select(2, check(back, { split = 0.2, variant = "b" })):find("two things"))
  back.abTestingTrigger = trigger
  t.ok(check(back).document.rollbackDirective)
end)

-- ---- rendering ----

local function render(variables, content, values)
  local got = assert(template.check(document { variables = variables, content = content }))
  local result, faults = template.render(got, values)
  if result then return result.text end
  local list = {}
  for i, f in ipairs(faults) do list[i] = f.field .. " " .. f.message end
  return nil, list
end

t.test("render: values by their types, defaults, and nothing is expanded twice", function()
  local variables = { s = "string", n = "number", i = "integer", b = "boolean", d = "dear", e = 5, f = false }
  t.eq(render(variables, "{{s}}|{{n}}|{{i}}|{{b}}|{{d}}|{{e}}|{{f}}|{{s}}",
    { s = "%1 {{n}}", n = 1.5, i = 3.0, b = true, e = 6.5 }), "%1 {{n}}|1.5|3|true|dear|6.5|false|%1 {{n}}")
end)

t.test("render: values that are missing, extra or of another type, all at once", function()
  local variables = { s = "string", n = "number", i = "integer", b = "boolean", d = "dear", m = "string" }
  local _, faults = render(variables, "{{s}}{{n}}{{i}}{{b}}{{d}}{{m}}",
    { s = 1, n = "1", i = 1.5, b = "true", d = 1, extra = 1 })
  t.eq(faults, {
    'b must be of type boolean, not "true"', "d must be of type string, not 1",
    "extra is not a variable of the template", "i must be of type integer, not 1.5",
    "m is missing: a value of type string", 'n must be of type number, not "1"', "s must be of type string, not 1",
  })
end)

-- ---- differences ----

t.test("what differs from the live version: placeholders, variables, lines of text", function()
  local from = { content = "a\nb\nc\nold {{x}}\nd\ne\nf", variables = { x = "string", y = 1 } }
  local to = { content = "a\nb\nc\nnew {{z}}\nand more\nd\ne\nf", variables = { z = "string", y = 2 } }
  local got = template.diff(from, to)
  t.eq(got.placeholders, { added = { "z" }, removed = { "x" } })
  t.eq(#got.variables, 3)
  t.eq(got.content, { "  b", "  c", "- old {{x}}", "+ new {{z}}", "+ and more", "  d", "  e" })
  t.eq(template.diff(from, from), {
    placeholders = { added = json.array {}, removed = json.array {} }, variables = json.array {},
    content = json.array {},
  })
end)

-- ---- variants ----

t.test("a subject keeps its variant, and the shares come out", function()
  local split, counts = { { "b", 0.1 }, { "c", 0.25 } }, { b = 0, c = 0, control = 0 }
  for i = 1, 20000 do
    local variant = template.variant("exp", "user-" .. i, split) or "control"
    counts[variant] = counts[variant] + 1
  end
  -- six standard deviations
  t.ok(math.abs(counts.b - 2000) < 6 * 43, counts.b)
  t.ok(math.abs(counts.c - 5000) < 6 * 62, counts.c)
end)

t.test("growing a split moves subjects out of the control only", function()
  local steps = { { { "b", 0.01 } } }
  steps[2] = template.grow(steps[1], "c", 0.1)
  steps[3] = template.grow(steps[2], "b", "5%")
  steps[4] = template.grow(steps[3], "c", 0.5)
  steps[5] = template.grow(steps[4], "d", 0.45)
  t.eq(steps[3], { { "b", 0.01 }, { "c", 0.1 }, { "b", 0.04 } })
  for i = 1, 3000 do
    local before
    for n, split in ipairs(steps) do
      local variant = template.variant("exp", ("s%d"):format(i), split)
      if before then t.eq(variant, before, "step " .. n) end
      before = variant
    end
    t.ok(before, "the last step leaves no control")
  end
end)

t.test("experiments are independent of one another", function()
  local both = 0
  for i = 1, 10000 do
    local s = "u" .. i
    if template.variant("one", s, { b = 0.5 }) and template.variant("two", s, { b = 0.5 }) then both = both + 1 end
  end
  t.ok(math.abs(both - 2500) < 6 * 44, both)
end)

t.test("the test vectors of docs/ab-assignment.md", function()
  local text, n = assert(fs.read("docs/ab-assignment.md")), 0
  for experiment, subject, bucket, variant in text:gmatch("\n| `([^`]+)` | `([^`]+)` | (%d+) | (%S+) |") do
    n = n + 1
    local got, in_bucket = template.variant(experiment, subject, { { "b", 0.2 }, { "c", 0.1 } })
    t.eq({ in_bucket, got or "control" }, { math.tointeger(tonumber(bucket)), variant }, subject)
  end
  t.ok(n >= 10, n)
end)

t.test("forms of a split, and what is none", function()
  for _, split in ipairs { { b = 1 }, { b = "100%" }, { { "b", 1 } }, { b = 0.5, c = 0.5 },
    { enabled = true, trafficPercent = 1, variantId = "b" } } do
    t.ok(template.variant("e", "s", split))
  end
  t.eq(template.variant("e", "s", {}), nil)
  t.eq(template.variant("e", "s", { enabled = false, trafficPercent = 1, variantId = "b" }), nil)
  t.eq({ template.variant("e", 7, {}) }, { template.variant("e", "7", {}) })
  for _, split in ipairs { { b = 1.1 }, { b = -0.1 }, { b = 0.6, c = 0.6 }, { b = 0.00001 }, { ["b c"] = 0.1 },
    { "b" }, { b = "20" }, { b = 0 / 0 } } do
    t.raises(function() template.variant("e", "s", split) end, "template.variant")
  end
  t.raises(function() template.variant("", "s", {}) end, "experiment")
  t.raises(function() template.variant("a\0b", "s", {}) end, "experiment")
  t.raises(function() template.variant("e", "", {}) end, "subject")
  t.raises(function() template.grow({ b = 0.5 }, "b", 0.1) end, "more than that")
  t.raises(function() template.grow({ b = 0.5 }, "c", 0.6) end, "whole")
end)

t.test("options that do not exist raise", function()
  t.raises(function() template.check({}, { limit = {} }) end, "unknown option 'limit'")
  t.raises(function() template.load("x", { window = 1 }) end, "unknown option 'window'")
end)
