-- Index configurations: every bad file tells all its faults at once, with JSON Pointers; the good ones come through.
local errors = require "moongate.error"
local fs = require "moongate.fs"
local index = require "moongate.index"
local json = require "moongate.json"
local t = require "moongate.test"

local FIXTURES = "tests/lua/fixtures/bad_index/"

-- What a loader raises, as "pointer" -> message; a fault of the whole file has the key "file".
local function faults_of(fn)
  local ok, err = pcall(fn)
  t.ok(not ok, "nothing was raised")
  t.ok(errors.is(err), "no error object: " .. tostring(err))
  t.eq(err.code, "invalid", tostring(err))
  local found, count = {}, 0
  for _, d in ipairs(err.details) do
    found[d.pointer or "file"], count = d, count + 1
  end
  return found, count, err
end

-- file -> what is expected: pointer -> pattern of the message (true: any). "file": a fault of the whole file.
local REQUIRED = {
  ["/indexId"] = true, ["/dimensions"] = true, ["/similarityMetric"] = true, ["/embeddingFormat"] = true,
}

local BAD = {
  empty_object = REQUIRED,
  dimensions_zero = { ["/dimensions"] = "1" },
  dimensions_negative = { ["/dimensions"] = "1" },
  dimensions_4097 = { ["/dimensions"] = "4096" },
  dimensions_fraction = { ["/dimensions"] = "integer" },
  dimensions_text = { ["/dimensions"] = "integer" },
  dimensions_null = { ["/dimensions"] = "integer" },
  dimensions_huge = { ["/dimensions"] = "4096" },
  cosine_high_2049 = { ["/dimensions"] = "2048 for cosine" },
  metric_unknown = { ["/similarityMetric"] = "cosine" },
  metric_upper_case = { ["/similarityMetric"] = "cosine" },
  format_unknown = { ["/embeddingFormat"] = "float32" },
  trigger_text = { ["/autoIngestTrigger"] = "boolean" },
  trigger_number = { ["/autoIngestTrigger"] = "boolean" },
  url_relative = { ["/webhookSyncUrl"] = true },
  url_plain_http = { ["/webhookSyncUrl"] = "https" },
  url_ftp = { ["/webhookSyncUrl"] = "https, not ftp" },
  url_user_info = { ["/webhookSyncUrl"] = "user name" },
  url_no_host = { ["/webhookSyncUrl"] = "no host" },
  url_space = { ["/webhookSyncUrl"] = true },
  url_loopback_lookalike = { ["/webhookSyncUrl"] = "https" },
  url_empty = { ["/webhookSyncUrl"] = true },
  url_list = { ["/webhookSyncUrl"] = "string" },
  unknown_member = { ["/shards"] = "not a field" },
  precision_unknown = { ["/precision"] = "standard" },
  precision_number = { ["/precision"] = "standard" },
  id_empty = { ["/indexId"] = true },
  id_dots = { ["/indexId"] = "part of a path" },
  id_control = { ["/indexId"] = "control" },
  id_number = { ["/indexId"] = "string" },
  id_too_long = { ["/indexId"] = "256" },
  slash_member = { ["/a~1b~0c"] = true },
  missing_two = { ["/similarityMetric"] = true, ["/embeddingFormat"] = true },
  many = {
    ["/indexId"] = true, ["/dimensions"] = "4096", ["/similarityMetric"] = true, ["/autoIngestTrigger"] = true,
    ["/webhookSyncUrl"] = "https", ["/precision"] = true, ["/shards"] = true, ["/embeddingFormat"] = true,
  },
  all_null = {
    ["/indexId"] = true, ["/dimensions"] = true, ["/similarityMetric"] = true, ["/embeddingFormat"] = true,
    ["/autoIngestTrigger"] = true, ["/webhookSyncUrl"] = true, ["/precision"] = true,
  },
  document_list = { [""] = "object" },
  document_null = { [""] = "object" },
  document_text = { [""] = "object" },
  document_number = { [""] = "object" },
  list_of_configurations = { [""] = "object" },
  not_json = { file = "line 1" },
  truncated = { file = "line 3" },
  trailing_comma = { file = "line 4" },
  comment = { file = "line 2" },
  single_quotes = { file = "line 1" },
  duplicate_member = { file = "line 4" },
  not_utf8 = { file = "UTF%-8" },
  utf16 = { file = "UTF%-16" },
  lone_surrogate = { file = "line 1" },
  integer_beyond_2_53 = { file = "line 3" },
  integer_beyond_64_bits = { file = "line 1" },
  number_overflow = { file = "line 1" },
  leading_zero = { file = "line 1" },
  nan = { file = "line 1" },
  empty = { file = "line 1" },
  blank = { file = "line 3" },
  two_documents = { file = "line 2" },
  control_character = { file = "line 1" },
}

local function check_fixture(name)
  local path = FIXTURES .. name .. ".json"
  local found, count = faults_of(function() index.load(path) end)
  local expected = 0
  for pointer, pattern in pairs(BAD[name]) do
    expected = expected + 1
    local fault = found[pointer]
    t.ok(fault, ("no fault at %s; there is %s"):format(pointer, (next(found))))
    t.ok(fault.message:find(pattern == true and "." or pattern), fault.message)
    t.eq(fault.file, path)
  end
  t.eq(count, expected)
end

for _, file in ipairs(assert(fs.list(FIXTURES))) do
  local name = file:gsub("%.json$", "")
  t.test("bad index: " .. name, function()
    t.ok(BAD[name], "no expectation for " .. file)
    check_fixture(name)
  end)
end

t.test("all bad files together: every fault of every file in one error", function()
  local files, expected = {}, 0
  for name, faults in pairs(BAD) do
    files[#files + 1] = FIXTURES .. name .. ".json"
    for _ in pairs(faults) do expected = expected + 1 end
  end
  table.sort(files)
  local ok, err = pcall(index.load_all, files)
  t.ok(not ok)
  local duplicates = 0
  for _, d in ipairs(err.details) do
    if d.message:find("is the indexId of", 1, true) then duplicates = duplicates + 1 end
  end
  t.eq(#err.details - duplicates, expected)
  t.ok(err.message:find("^" .. #files .. " files: %d+ errors; nothing was sent"), err.message)
end)

t.test("faults come in the order of the text, with their lines", function()
  local _, _, err = faults_of(function() index.load(FIXTURES .. "many.json") end)
  local lines = {}
  for _, d in ipairs(err.details) do
    if d.pointer ~= "/embeddingFormat" then lines[#lines + 1] = d.pointer .. ":" .. d.line end
  end
  t.eq(table.concat(lines, " "), "/indexId:2 /dimensions:3 /similarityMetric:4 /autoIngestTrigger:5 "
    .. "/webhookSyncUrl:6 /precision:7 /shards:8")
  t.ok(err.details[#err.details].where:find("many.json:8", 1, true), err.details[#err.details].where)
end)

-- ---- files that are none ----

local SCRATCH = "build/tmp/test_index"

local function scratch(name, text)
  assert(fs.mkdir(SCRATCH))
  local path = SCRATCH .. "/" .. name
  assert(fs.write(path, text))
  return path
end

local function only_fault(path, opts)
  local found, count = faults_of(function() index.load_all({ path }, opts) end)
  t.eq(count, 1)
  return found.file.message
end

t.test("a byte order mark and CR LF are how a file was saved, not what it says", function()
  local folder = "build/tmp/test_index"
  assert(fs.mkdir(folder))
  local text = '{\n  "indexId": "orders",\n  "dimensions": 768,\n  "similarityMetric": "dot_product",\n'
    .. '  "embeddingFormat": "float32"\n}\n'
  local path = folder .. "/index.json"
  assert(fs.write(path, text))
  local plain = index.load(path)
  assert(fs.write(path, "\u{FEFF}" .. text:gsub("\n", "\r\n")))
  t.eq(index.load(path).document, plain.document)
end)

t.test("a file that is not there", function()
  t.ok(only_fault("no/such/index.json"):find("file not found", 1, true))
end)

t.test("a folder where a file is wanted, and one without .json files", function()
  local found = faults_of(function() index.load("tests/lua") end)
  t.ok(found.file.message:find("folder", 1, true))
  assert(fs.mkdir(SCRATCH .. "/nothing"))
  t.ok(only_fault(SCRATCH .. "/nothing"):find("no .json file", 1, true))
end)

t.test("a file of 100 MB is refused by its size", function()
  t.ok(only_fault(scratch("large.json", (" "):rep(100 << 20))):find("more than 1 MiB", 1, true))
  fs.remove(SCRATCH .. "/large.json")
end)

t.test("100,000 levels of nesting", function()
  local path = scratch("deep.json", ("["):rep(100000) .. ("]"):rep(100000))
  t.ok(only_fault(path):find("deep", 1, true), only_fault(path))
end)

t.test("an indexId given twice", function()
  local text = assert(fs.read("scripts/examples/index.json"))
  local a, b = scratch("twice_a.json", text), scratch("twice_b.json", text)
  local found = faults_of(function() index.load_all { a, b } end)
  t.ok(found["/indexId"].message:find("twice_a.json", 1, true))
  t.eq(found["/indexId"].file, b)
end)

-- ---- what is good ----

local GOOD = { indexId = "orders", dimensions = 2048, similarityMetric = "cosine", embeddingFormat = "float32" }

local function with(changes)
  local c = {}
  for k, v in pairs(GOOD) do c[k] = v end
  for k, v in pairs(changes) do c[k] = v end
  return c
end

t.test("precision picks the limit, and is not sent", function()
  local config, precision = index.check(with { precision = "high" })
  t.eq(config, GOOD)
  t.eq(precision, "high")
  t.ok(index.check(with { dimensions = 4096 }))
  t.ok(index.check(with { dimensions = 4096, precision = "high", similarityMetric = "euclidean" }))
  t.ok(not index.check(with { dimensions = 2049, precision = "high" }))
  t.ok(index.check(with { dimensions = 2049, precision = "high" }, { precision = "standard" }), "the caller's wins")
  t.ok(not index.check(with { dimensions = 2049 }, { precision = "high" }))
end)

t.test("limits are a project's to set", function()
  local limits = { dimensions = 100, high_precision_dimensions = 50 }
  t.ok(not index.check(with { dimensions = 101 }, { limits = limits }))
  t.ok(index.check(with { dimensions = 51 }, { limits = limits }))
  t.ok(not index.check(with { dimensions = 51, precision = "high" }, { limits = limits }))
  t.ok(index.check(with { dimensions = 8192 }, { limits = { dimensions = 8192 } }))
end)

t.test("a webhook on this machine may be plain http", function()
  for _, url in ipairs { "http://127.0.0.1:8080/x", "http://localhost/x", "http://[::1]:1/x", "https://h/x" } do
    t.ok(index.check(with { webhookSyncUrl = url }), url)
  end
end)

t.test("files and folders, in the order given and by name", function()
  local list = index.load_all { "scripts/examples/index.json", "scripts/examples/indexes/" }
  local names = {}
  for i, item in ipairs(list) do names[i] = item.config.indexId end
  t.eq(table.concat(names, " "), "support-articles call-transcripts knowledge-base product-images")
  t.eq(list[1].precision, "high")
  t.eq(list[1].config.precision, nil)
  t.eq(list[2].file, "scripts/examples/indexes/call-transcripts.json")
end)

t.test("the example of a bad file is bad, and unknown options are refused", function()
  local _, count = faults_of(function() index.load("scripts/examples/bad_index.json") end)
  t.eq(count, 8)
  t.raises(function() index.load("x", { precison = "high" }) end, "unknown option 'precison'")
  t.raises(function() index.load("x", { precision = "low" }) end, "precision")
end)

t.test("tutorial fault 11: length limits count characters, not bytes", function()
  t.ok(index.check(with { indexId = ("ä"):rep(256) }))
  t.ok(not index.check(with { indexId = ("ä"):rep(257) }))
end)

t.test("check is total: any JSON value is good or has faults", function()
  for _, v in ipairs { 1, "x", true, json.null, json.array {}, {}, { a = json.array { { b = {} } } } } do
    local config, faults = index.check(v)
    t.ok(config == nil and #faults > 0)
  end
end)
