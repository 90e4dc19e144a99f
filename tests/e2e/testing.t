# `moongate test` from outside: what it finds, how it reports, and what it does not let pass.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Moon;
use Test::More;

my $HEAD = <<'LUA';
local test = require "moongate.test"
local task, time = require "moongate.task", require "moongate.time"
local describe, it, expect = test.describe, test.it, test.expect
LUA

# A folder with test files -> its name.
my $n = 0;
sub folder {
    my (%files) = @_;
    my $d = "f" . ++$n;
    mkdir $d;
    for my $name (keys %files) {
        my $path = "$d/$name";
        system 'mkdir', '-p', $path =~ s{/[^/]*$}{}r;
        write_file($path, ($name =~ /_test\.lua$|^test_|\/test_/ ? $HEAD : '') . $files{$name});
    }
    return $d;
}
mkdir "$Moon::dir/tmp";
$ENV{TMPDIR} = "$Moon::dir/tmp";
sub tests { my ($d, @args) = @_; moon({ dir => $d, env => { CI => '' } }, 'test', @args) }

subtest 'which files are found' => sub {
    my $it = qq{it("x", function() end)\n};
    my $d = folder('a_test.lua' => $it, 'test_b.lua' => $it, 'c.lua' => 'error("no test")', 'tests/deep/d_test.lua' => $it,
        'other/e_test.lua' => $it, 'tests/.hidden/f_test.lua' => $it, 'tests/helper.lua' => 'error("no test")');
    my $r = tests($d);
    is $r->{status}, 0, 'all pass' or diag $r->{out}, $r->{err};
    is join(' ', $r->{out} =~ /^# (\S+\.lua)$/mg), 'a_test.lua test_b.lua tests/deep/d_test.lua', 'here, and below ./tests';
    $r = tests($d, 'other', 'a_test.lua', 'a_test.lua');
    is join(' ', $r->{out} =~ /^# (\S+\.lua)$/mg), 'other/e_test.lua a_test.lua', 'what is named, each once';
    is tests(folder('x.lua' => ''))->{status}, 2, 'none: exit 2';
    is tests(folder('x_test.lua' => ''))->{status}, 2, 'a file without a test: exit 2';
    is tests($d, 'nowhere')->{status}, 2, 'a path that is not there: exit 2';
    is tests($d, '--filter', 'nothing of that name')->{status}, 2, 'a filter that fits none: exit 2';
};

subtest 'failures are told with their place and what differs' => sub {
    my $d = folder('a_test.lua' => <<'LUA');
describe("sums", function()
  it("are right", function() expect(1 + 1):to_be(2) end)
  it("are wrong", function()
    expect({ a = 1, b = { c = 2 } }):to_equal { a = 1, b = { c = 3 } }
  end)
end)
it("raises", function() error("boom") end)
it("waits for nothing", function() task.sleep(75 * 3600) end)
it("is still to be written")
LUA
    my $r = tests($d, '--junit', 'out.xml');
    is $r->{status}, 1, 'exit 1';
    like $r->{out}, qr/^ok 1 - sums > are right\nnot ok 2 - sums > are wrong\n# a_test\.lua:7: the values differ\n#   ~ b\.c: 2, expected 3\n/m, 'a diff';
    like $r->{out}, qr/^not ok 3 - raises\n# a_test\.lua:10: boom\n/m, 'an error';
    like $r->{out}, qr/^ok 4 - waits for nothing\nok 5 - is still to be written # SKIP not written yet\n1\.\.5\n/m, 'the rest';
    my $xml = read_file("$d/out.xml");
    like $xml, qr/<testsuites name="moongate test" tests="5" failures="2" skipped="1"/, 'JUnit: counts';
    like $xml, qr/<testcase classname="a_test" name="sums &gt; are wrong" file="a_test\.lua" time="[\d.]+">\n\s*<failure message="the values differ">a_test\.lua:7: the values differ\n~ b\.c: 2, expected 3<\/failure>/, 'JUnit: a failure';
    if (eval { require XML::Parser; 1 }) { ok eval { XML::Parser->new->parse($xml); 1 }, 'JUnit: well formed' }
    my $doc = json(tests($d, '--json')->{out});
    is "@$doc{qw(passed failed skipped total)}", '2 2 1 5', '--json: counts';
    is $doc->{tests}[1]{where}, 'a_test.lua:7', '--json: a place';
    $r = tests($d, '--format', 'pretty', '--filter', 'sums');
    like $r->{out}, qr/  sums\n    ✓ are right\n    ✗ are wrong\n/, 'pretty: a tree';
    like $r->{out}, qr/a_test\.lua:7:  expect\(\{ a = 1, b = \{ c = 2 \} \}\):to_equal/, 'pretty: the source';
    like $r->{out}, qr/^1 passed, 1 failed in 1 file/m, 'pretty: the sum; --filter';
    is tests($d, '--filter', 'are right')->{status}, 0, 'what is filtered out does not count';
};

subtest 'a test that leaves something behind fails' => sub {
    my $d = folder('a_test.lua' => <<'LUA');
local fs, http, httpd = require "moongate.fs", require "moongate.http", require "moongate.httpd"
local asked, server = {}, nil
test.before(function()
  server = assert(httpd.serve { handler = function() task.sleep(1000) end })
  task.spawn(function() -- lives until the block's end, and so does what it starts
    while true do
      while #asked > 0 do task.spawn(table.remove(asked)) end
      task.sleep(0.001)
    end
  end)
end)
it("a task", function() asked[1] = function() task.sleep(1000) end task.sleep(0.01) end)
it("a transfer", function() asked[1] = function() http.get(server.url, { deadline = 900 }) end task.sleep(0.01) end)
it("one of its own", function()
  task.spawn(function() task.sleep(1000) end)
end)
it("one that it has ended", function()
  local t = task.spawn(function() task.sleep(1000) end)
  task.spawn(function() return 1 end)
  t:cancel()
end)
it("a server", function() httpd.serve { handler = function() end } end)
it("a reader", function() fs.lines "a_test.lua" end)
it("closes both", function()
  local s <close> = assert(httpd.serve { handler = function() end })
  local stopped = assert(httpd.serve { handler = function() end })
  local r <close> = fs.lines "a_test.lua"
  expect(#r:read(1)):to_be(1)
  stopped:stop()
end)
it("tells a mistake where it is", function()
  expect(select(2, pcall(function() task.spawn(1) end))):to_match "^a_test%.lua:%d+: bad argument #1"
end)
describe("hooks", function()
  local t
  test.before_each(function() task.spawn(function() task.sleep(1000) end) end)
  test.after_each(function() if t then t:cancel() end t = nil end)
  it("end what the test has started", function() t = task.spawn(function() task.sleep(1000) end) end)
  it("but not all", function() task.spawn(function() task.sleep(1000) end) end)
end)
LUA
    my $r = tests($d);
    is $r->{status}, 1, 'exit 1';
    my $spawned = qr/left a task behind, spawned at a_test\.lua:\d+/;
    like $r->{out}, qr/^not ok 1 - a task\n# .*$spawned$/m, 'a task';
    like $r->{out}, qr/^not ok 2 - a transfer\n# .*$spawned$/m, 'a transfer';
    like $r->{out}, qr/^not ok 3 - one of its own\n# .*left a task behind, spawned at a_test\.lua:18$/m, 'its own, by its place';
    like $r->{out}, qr/^ok 4 - /m, 'one that is cancelled, or done, is not left';
    like $r->{out}, qr/^not ok 5 - a server\n# .*left a server behind, started at a_test\.lua:\d+$/m, 'a server';
    like $r->{out}, qr/^not ok 6 - a reader\n# .*left a reader of lines behind, opened at a_test\.lua:\d+$/m, 'a reader';
    like $r->{out}, qr/^ok 7 - .*\nok 8 - .*\nok 9 - /m, 'what is closed, by itself or by a hook, is not left';
    like $r->{out}, qr/^not ok 10 - hooks > but not all\n# .*$spawned$/m, 'hooks do not hide what is left';
};

subtest 'a file that does not come to its end fails, and no other' => sub {
    my $d = folder('a_test.lua' => <<'LUA', 'b_test.lua' => "local t = nil\nt.x = 1\n", 'c_test.lua' => "local local\n", 'd_test.lua' => 'it("x", function() end)');
it("spins", function() while true do end end)
LUA
    my $r = tests($d, '--timeout', '500ms', '--jobs', '4');
    is $r->{status}, 1, 'exit 1';
    like $r->{out}, qr/not ok 1 - spins\n# it took longer than 0\.5 s and was ended/, 'one that does not end is ended';
    like $r->{out}, qr/not ok 2 - b_test\.lua\n# b_test\.lua:5: attempt to index a nil value \(local 't'\)/, 'a file that raises';
    like $r->{out}, qr/not ok 3 - c_test\.lua\n# c_test\.lua:4: <name> expected/, 'a file that is no Lua';
    like $r->{out}, qr/^ok 4 - x$/m, 'the others run';
};

subtest 'files are apart, in order, and side by side' => sub {
    my %files = map { ("t${_}_test.lua" => "-- real clock\n" . $HEAD . "it('x', function() task.sleep(0.3) print('from $_') end)") } 1 .. 4;
    my $d = 'side'; mkdir $d;
    write_file("$d/$_", $files{$_}) for keys %files;
    my $r = tests($d, '--jobs', 4);
    is $r->{status}, 0;
    is $r->{out}, join('', map { "# t${_}_test.lua\n# from $_\nok $_ - x\n" } 1 .. 4) . "1..4\n", 'output in order, what is printed in its place';
    cmp_ok $r->{elapsed}, '<', 1.15, 'side by side';
};

subtest 'a random order that a seed repeats' => sub {
    my $d = folder('a_test.lua' => join('', map { "it('t$_', function() end)\n" } 1 .. 12));
    my $order = sub { join ' ', $_[0]{out} =~ /^ok \d+ - (\S+)/mg };
    my $a = tests($d, '--shuffle', '--seed', 5);
    isnt $order->($a), join(' ', map {"t$_"} 1 .. 12), 'another order';
    is $order->(tests($d, '--shuffle', '--seed', 5)), $order->($a), 'the same for the same seed';
    like $a->{out}, qr/^# shuffled with --seed 5$/m, 'the seed is told';
    my $b = tests($d, '--shuffle');
    my ($seed) = $b->{out} =~ /--seed (\d+)/;
    is $order->(tests($d, '--shuffle', '--seed', $seed)), $order->($b), 'one that was drawn can be repeated';
};

subtest 'snapshots' => sub {
    my $d = folder('a_test.lua' => 'it("x", function() expect({ a = 1 }):to_match_snapshot() end)');
    my $r = moon({ dir => $d, env => { CI => 'true' } }, 'test');
    is $r->{status}, 1, 'missing in CI: a failure';
    like $r->{out}, qr/snapshot "x" not found in a_test\.snap/;
    ok !-e "$d/a_test.snap", 'and none is written';
    is tests($d)->{status}, 0, 'written elsewhere';
    is read_file("$d/a_test.snap"), "Made by `moongate test --update-snapshots`.\n\n=== x\n{ a = 1 }\n\n", 'as text';
    is moon({ dir => $d, env => { CI => 'true' } }, 'test')->{status}, 0, 'then there';
    write_file("$d/a_test.lua", $HEAD . 'it("x", function() expect({ a = 2 }):to_match_snapshot() end)');
    $r = tests($d);
    is $r->{status}, 1, 'another value: a failure';
    like $r->{out}, qr/#   - \{ a = 1 \}\n#   \+ \{ a = 2 \}/, 'with a diff';
    is tests($d, '--update-snapshots')->{status}, 0;
    is tests($d)->{status}, 0, '--update-snapshots takes it';
    write_file("$d/a_test.lua", $HEAD . 'it("y", function() end)');
    like tests($d)->{out}, qr/1 unused snapshot/, 'one that nobody asks for is told';
    tests($d, '--update-snapshots');
    ok !-e "$d/a_test.snap", 'and removed';
};

subtest 'the clock of a file' => sub {
    my $d = 'clock'; mkdir $d;
    my $body = 'test.test("x", function() local a = time.monotonic() task.sleep(0.2) print(time.iso():sub(1, 7)) end)';
    my $says = sub { my ($r) = @_; $r->{out} =~ /^# (\d{4}-\d\d)$/m ? $1 eq '2026-01' ? 'virtual' : 'real' : $r->{out} . $r->{err} };
    my $at = sub { write_file("$d/x_test.lua", $_[0]); tests($d, @_[1 .. $#_]) };
    is $says->($at->($HEAD . $body)), 'real', 'without describe and it: the real one';
    is $says->($at->("-- virtual clock\n$HEAD$body")), 'virtual', 'its first line asks for the other';
    is $says->($at->("$HEAD$body\nit('y', function() end)")), 'virtual', 'a file of describe and it: a virtual one';
    is $says->($at->("-- real clock\n$HEAD$body\nit('y', function() end)")), 'real', 'its first line asks for the other';
    is $says->($at->("$HEAD$body\nit('y', function() end)", '--clock', 'real')), 'real', '--clock decides for all';
};

subtest 'no test reaches the gateway or the state of whoever runs it' => sub {
    my $sim = start_sim();
    my $d = folder('a_test.lua' => <<'LUA');
it("has no gateway", function()
  local auth = require "moongate.auth"
  expect(auth.info().api_url):to_be "http://127.0.0.1:1"
end)
it("has an audit log of its own", function() assert(require("moongate.audit").event { action = "x" }) end)
LUA
    my $r = moon({ dir => $d, env => { %{ $sim->{env} }, CI => '' } }, 'test');
    is $r->{status}, 0 or diag $r->{out};
    is sim_get($sim, 'stats')->{requests}, 0, 'nothing was asked';
    ok !-e "$Moon::dir/state", 'no state was written';
    is_deeply [glob "$ENV{TMPDIR}/*"], [], 'nothing is left behind';
};

subtest 'a file runs in the folder of its project' => sub {
    my $d = folder('inner/moongate.lua' => 'return { limits = { dimensions = 12 } }', 'inner/tests/a_test.lua' => <<'LUA');
it("x", function() expect(assert(require("moongate.fs").read "moongate.lua")):to_contain "12" expect(1):to_be(2) end)
LUA
    my $r = tests($d, 'inner');
    like $r->{out}, qr{^# inner/tests/a_test\.lua:4: got 1, expected 2}m, 'and places are told from where we are' or diag $r->{out};
    write_file("$d/other.lua", 'return { limits = { dimensions = 7 } }');
    write_file("$d/inner/tests/a_test.lua", $HEAD . 'it("x", function() expect(test.sim().project.limits.dimensions):to_be(7) end)');
    is tests($d, 'inner', '--config', 'other.lua')->{status}, 0, '--config is another one, from where we are';
};

subtest 'runs that are cut off, writes that are sent twice' => sub {
    my $d = folder('a_test.lua' => <<'LUA');
local workflow = require "moongate.workflow"
local http, auth = require "moongate.http", require "moongate.auth"

local function run(gateway, fn)
  local out = gateway:run(workflow.define { name = "w", summary = "s", run = fn })
  expect(out.error):to_be_nil()
  return out
end

local function register(more)
  local client = assert(http.client { base_url = auth.info().api_url, auth = assert(auth.gateway()) })
  local request = { json = {
    name = "summariser", endpointUrl = "https://x.example.com", authCredentialId = "c", modelArchitecture = "openai",
    rateLimits = { maxRequestsPerMinute = 60, maxTokensPerMinute = 60000 }, parameters = {},
  } }
  for k, v in pairs(more or {}) do request[k] = v end
  assert(client:post("/api/v2/ai/llm-gateway/models", request))
end

it("keyed", function()
  run(test.sim(), function(r) r:step("register", function() register { idempotency_key = "k-1" } end) end)
end)

it("without a key", function()
  run(test.sim(), function(r) r:step("register", function() register() end) end)
end)

it("remembers", function()
  local n = 0
  run(test.sim(), function(r) r:step("count", function() n = n + 1 end) return { n = n } end)
end)

it("comes in another order", function()
  local lives = 0
  run(test.sim(), function(r)
    lives = lives + 1
    r:step(lives == 1 and "a" or "b", function() end)
  end)
end)

it("has no run", function() end)

describe("one for all", function()
  local gateway
  test.before(function() gateway = test.sim() end)
  it("is left alone", function()
    local n = 0
    run(gateway, function(r) r:step("count", function() n = n + 1 end) end)
    expect(n):to_be(1)
  end)
end)
LUA
    is tests($d)->{status}, 0, 'all pass as they are';
    my $r = tests($d, '--crash-everywhere');
    is $r->{status}, 1;
    like $r->{out}, qr/^ok 1 - keyed\n# run 6 times again\nnot ok 2 - without a key\n(?:#.*\n)?# \S+ interrupted after batch 1 of 3 \(step 'register'\), then resumed: .*its outcome is unknown/m, 'a POST that must not be sent twice' or diag $r->{out};
    like $r->{out}, qr/^not ok 3 - remembers\n(?:#.*\n)?# .* interrupted before batch 2 of 3 .*\n#   ~ data\.n: 2, expected 1$/m, 'what is done twice';
    like $r->{out}, qr/^not ok 4 - comes in another order\n(?:#.*\n)?# .*journal\[1\] a \/ script\[1\] b/m, 'a run that does not fit its journal';
    like $r->{out}, qr/^ok 5 - has no run\nok 6 - one for all > is left alone\n1\.\.6$/m;
    $r = tests($d, '--repeat-writes');
    like $r->{out}, qr/^ok 1 .*\n# run 1 times again\nnot ok 2 - without a key\n(?:#.*\n)?# .*every write was sent twice: .*\n#   ~ gateway\.model_jobs: 2, expected 1\nok 3/m, '--repeat-writes' or diag $r->{out};
};

subtest 'the bundled workflows come to the same, wherever they are cut off' => sub {
    my $d = folder('a_test.lua' => <<'LUA' =~ s/EXAMPLES/$root\/scripts\/examples\//r);
local E = "EXAMPLES"
-- The simulator honours the key of a create: one that was cut off is sent again.
local KEYED = { project = { gateway = { kinds = { model = { keyed = true } } } } }
local function run(name, ...)
  local words = { ... }
  it(name, function()
    local out = test.sim(KEYED):run(name, table.unpack(words))
    expect(out.error):to_be_nil()
    expect(out.exit_status):to_be(0)
  end)
end
run("promote-template", E .. "support_answer.txt", "--split", "20%", "--variant", "concise")
run("register-model", E .. "model.json")
run("configure-model", E .. "model_configuration.json")
run("route-prompts", "--model", "sim-small", "--fallback", "sim-large", E .. "prompts.jsonl")
run("deploy-index", E .. "indexes", "--vector-store", "vs")
run(E .. "my_workflow.lua", "--ingest", "--vector-store", "vs")
LUA
    my $r = tests($d, '--crash-everywhere', '--repeat-writes');
    is $r->{status}, 0 or diag $r->{out}, $r->{err};
    is scalar(() = $r->{out} =~ /times again/g), 6;
};

subtest 'lines that ran' => sub {
    my $d = folder('helper.lua' => <<'LUA', 'tests/a_test.lua' => 'it("x", function() end)', 'b_test.lua' => <<'TEST', 'c_test.lua' => <<'TEST');
#!/usr/bin/env moongate
local M = {}

function M.sign(n)
  if n > 0 then return "+" end
  if n < 0 then
    local text = "-"
    return text
  end
  return ""
end

return M
LUA
local helper = require "helper"
it("x", function() expect(helper.sign(1)):to_be "+" end)
TEST
local helper = require "helper"
it("x", function() expect(helper.sign(0)):to_be "" end)
it("has lines of its own", function() expect(pcall(helper.sign)):to_be(false) end)
TEST
    my $r = tests($d, '--coverage', '--coverage-file', 'lcov.info');
    is $r->{status}, 0;
    like $r->{out}, qr/^# file        lines   hit      %  not run\n# helper\.lua      8     6   75\.0  7-8\n# all             8     6   75\.0$/m or diag $r->{out};
    is read_file("$d/lcov.info"), "TN:\nSF:helper.lua\nDA:2,2\nDA:4,2\nDA:5,3\nDA:6,1\nDA:7,0\nDA:8,0\nDA:10,1\nDA:13,2\nLF:8\nLH:6\nend_of_record\n", 'lcov';
    is json(tests($d, '--coverage', '--json')->{out})->{coverage}[0]{percent}, 75, '--json';
};

subtest 'a new workflow passes its own tests, and is left alone from then on' => sub {
    my $d = folder();
    my $r = moon({ dir => $d }, 'new', 'two-words');
    is $r->{status}, 0;
    is $r->{out}, join('', map {"two-words/$_\n"} qw(moongate.lua workflows/two_words.lua tests/two_words_test.lua sample.json));
    my $check = moon({ dir => "$d/two-words" }, 'check');
    is $check->{out}, "3 files: no problems found\n", 'check';
    my $t = tests("$d/two-words");
    is $t->{status}, 0, 'test' or diag $t->{out};
    like $t->{out}, qr/^1\.\.5$/m;
    cmp_ok $r->{elapsed} + $check->{elapsed} + $t->{elapsed}, '<', 2, 'in less than two seconds';
    is tests($d, 'two-words')->{status}, 0, 'and from above';
    like moon({ dir => "$d/two-words" }, '--sim', 'run', 'workflows/two_words.lua', 'sample.json')->{out}, qr/^sample: created/, 'it runs';
    $t = tests("$d/two-words", '--crash-everywhere', '--repeat-writes');
    is $t->{status}, 0, 'also when each run is cut off everywhere, and every write sent twice' or diag $t->{out};
    like $t->{out}, qr/^# run 19 times again$/m;
    write_file("$d/two-words/sample.json", 'mine');
    $r = moon({ dir => $d }, 'new', 'two-words');
    is $r->{status}, 5, 'not twice';
    is read_file("$d/two-words/sample.json"), 'mine', 'nothing was written';
    is moon({ dir => $d }, 'new', $_)->{status}, 2, "no name: '$_'" for 'Demo', 'a/b', '../x', '-x', 'x-', 'a--b', '', 'a b', 'deploy-index', 'run', 'x' x 65;
    is_deeply [ glob "$d/*" ], ["$d/two-words"];
};

subtest 'check knows a project file by what it is' => sub {
    my $d = folder('staging.lua' => "return { gateway = { regoin = 'x' } }", 'odd.lua' => "return { gatway = {} }",
        'module.lua' => "return { limits = require 'moongate.json' }", 'a_test.lua' => '');
    my $r = moon({ dir => $d }, 'check');
    is $r->{status}, 3;
    like $r->{out}, qr/^staging\.lua:1: gateway\.regoin: unknown field \(did you mean 'region'\?\)$/m;
    unlike $r->{out}, qr/odd|module/, 'others are not';
    like moon({ dir => $d }, 'check', '--project-file', 'odd.lua')->{out}, qr/^odd\.lua:1: gatway: unknown field/m, '--project-file';
};

subtest 'the examples of docs/testing.md' => sub {
    my $doc = read_file("$root/docs/testing.md");
    my $d = folder();
    mkdir "$d/tests";
    my $count = 0;
    while ($doc =~ /^```lua\n-- (tests\/\S+_test\.lua)\n(.*?)^```/msg) { write_file("$d/$1", $2); $count++ }
    is $count, 2, 'they are there';
    is moon({ dir => $d }, 'check')->{out}, "2 files: no problems found\n", 'check';
    my $r = tests($d, '--crash-everywhere', '--repeat-writes');
    is $r->{status}, 0, 'test' or diag $r->{out};
};

done_testing;
