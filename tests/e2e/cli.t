#!/usr/bin/env perl
# The command line as a user meets it: statuses, streams, help, the manual page, faults of flags and of the project file, signals.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Moon;
use Test::More;
use Time::HiRes qw(sleep);

# One JSON document on stdout and nothing else.
sub one_document {
    my ($r, $what) = @_;
    my $doc = eval { json($r->{out}) };
    ok(ref $doc eq 'HASH' && $r->{out} =~ /\A[^\n]+\n\z/, "$what: one JSON document") or diag($r->{out}, $r->{err});
    return $doc // {};
}

subtest 'version' => sub {
    my $r = moon('version', '-v');
    like($r->{out}, qr/^moongate \d+\.\d+\.\d+\n(?:.*\n)*libcurl \d+\.(?:.*\n)*libmicrohttpd \d(?:.*\n)*sqlite 3\./, 'the libraries that run');
    my ($libcurl) = $r->{out} =~ /^libcurl (\d+\.\d+\.\d+)/m;
    my $faulty = grep { $_ eq $libcurl } qw(7.88.0 7.88.1 8.0.0 8.0.1);
    is($r->{out} =~ /^Known bugs of this libcurl.*\n- HTTP\/2 loses/m ? 1 : 0, $faulty ? 1 : 0, 'what is known of their bugs');
    is(ref json(moon('--json', 'version')->{out})->{known_bugs}{libcurl}, 'ARRAY', 'also as JSON');
};

subtest 'usage' => sub {
    my $r = moon();
    is($r->{status}, 2, 'no command: 2');
    is($r->{out}, '', 'nothing on stdout');
    like($r->{err}, qr/^Usage: moongate .*\bdeploy-index\b.*doctor/ms, 'a short usage on stderr');

    for (
        [['vesion'], qr/unknown command 'vesion' \(did you mean 'version'\?\)/],
        [['deploy-indx'], qr/did you mean 'deploy-index'/],
        [['--regoin', 'x'], qr/unknown flag --regoin \(did you mean '--region'\?\)/],
        [['doctor', '--jsn'], qr/unknown flag --jsn \(did you mean '--json'\?\)/],
        [['--frobnicate=canary-77', 'doctor'], qr/unknown flag --frobnicate\n/],
        [['audit', 'x'], qr/needs one of: verify, show/],
        [['audit', 'verfy'], qr/did you mean 'verify'/],
        [['x.lua'], qr/to run a script: moongate run x\.lua/],
        [['run'], qr/missing argument SCRIPT/],
        [['-e'], qr/missing argument CHUNK/],
        [['version', 'extra'], qr/too many/],
        [['doctor', '--deadline', 'soon'], qr/--deadline needs a duration/],
        [['--log-level', 'wran', 'version'], qr/--log-level \(or MOONGATE_LOG_LEVEL\) needs one of .*did you mean 'warn'/],
        [['--color', 'red', 'version'], qr/--color .*needs one of/],
        [['--sim', '--sim-fault', 'staus=1', '--sim-fault', 'x', 'doctor'], qr/staus.*--sim-fault 'x'/s],
        [['help', 'doktor'], qr/did you mean 'doctor'/],
        [['sim', '--port', '70000', '--fault', 'x', '--rate-limit', 'y'], qr/--port needs at most 65535.*--rate-limit needs/s],
      ) {
        my ($args, $expected) = @$_;
        my $r = moon(@$args);
        is($r->{status}, 2, "@$args: 2");
        like($r->{err}, $expected, 'says what is wrong');
        unlike($r->{err}, qr/canary|traceback/, 'no value, no traceback');
        is($r->{out}, '', 'nothing on stdout');
    }
    my $doc = one_document(moon('--json', 'vesion'), '--json');
    is($doc->{error}{code}, 'usage');
    is($doc->{error}{exit_status}, 2);
};

subtest 'secrets are not taken from the command line' => sub {
    for my $flag (qw(--client-secret --access-token --token --secret --password)) {
        for my $args ([ "$flag=canary-0001", 'doctor' ], [ 'doctor', $flag, 'canary-0001' ]) {
            my $r = moon(@$args);
            is($r->{status}, 2, "$flag: 2");
            like($r->{err}, qr/$flag is refused: .*environment/, 'says why, and what to do');
            unlike("$r->{err}$r->{out}", qr/canary/, 'the value is not shown');
        }
    }
};

subtest 'help' => sub {
    my $all = moon('help');
    is($all->{status}, 0);
    is($all->{err}, '');
    is(moon('--help')->{out}, $all->{out}, '--help is help');
    for my $name (qw(run sim test check audit doctor help version deploy-index)) {
        like($all->{out}, qr/^  $name\b/m, "names $name");
        my $r = moon('help', $name);
        is($r->{status}, 0, "help $name");
        like($r->{out}, qr/^Usage: moongate \Q$name\E/);
        is(moon($name, '--help')->{out}, $r->{out}, "$name --help says the same");
    }
    like(moon('help', 'audit', 'show')->{out}, qr/--since TIME/, 'a command of a command');
    like(moon('help', 'eval')->{out}, qr/CHUNK/, '-e by its other name');
    my $doc = one_document(moon('--json', 'help', 'doctor'), 'help --json');
    like($doc->{text}, qr/^Usage/);

    my $man = moon('help', '--man');
    is($man->{status}, 0, 'the manual page');
    like($man->{out}, qr/^\.SH "?EXIT STATUS/m);
    like($man->{out}, qr/deploy\\-index/, 'has the workflows');
  SKIP: {
        skip 'no groff', 2 unless grep { -x "$_/groff" } split /:/, $ENV{PATH};
        write_file('moongate.1', $man->{out});
        my $r = run('groff', '-ww', '-man', '-Tutf8', 'moongate.1');
        is($r->{err}, '', 'groff has nothing to warn of');
        like($r->{out}, qr/moongate sim --fault/, 'hyphens are hyphens');
    }
};

subtest 'version' => sub {
    like(moon('version')->{out}, qr/\Amoongate \d+\.\d+\.\d+\n\z/);
    is(moon('--version')->{out}, moon('version')->{out});
    like(moon('version', '-v')->{out}, qr/^lua 5\.4/m);
    ok(one_document(moon('version', '--json'), 'version')->{moongate});
};

subtest 'chunks and scripts' => sub {
    is(moon('-e', 'return 1 + 1')->{out}, "2\n", 'the result is shown');
    is(moon('-e', 'print(...) print(arg[0], arg[1])', 'a', '--', '--json')->{out}, "a\t--json\n-e\ta\n", 'arguments');
    is(moon('--json', '-e', 'print("x") return { a = { 1 } }')->{out}, qq({"a":[1]}\n), '--json keeps print off stdout');
    is(moon('--json', '-e', 'return')->{out}, "null\n");
    my $r = moon('-e', "local x = 1\nerror 'boo'");
    is($r->{status}, 1, "a script's error: 1");
    like($r->{err}, qr/\(command line\):2: boo/, 'with its place');
    unlike($r->{err}, qr/traceback/, 'no traceback');
    like(moon('-v', '-e', 'error "boo"')->{err}, qr/stack traceback:/, '-v shows it');
    $r = moon('-e', 'x = = 1');
    is($r->{status}, 3, 'a syntax error: 3');
    like($r->{err}, qr/\(command line\):1: unexpected symbol near '='/);
    is(moon('run', 'nothing.lua')->{status}, 3, 'no such file: 3');
    like(moon('run', 'deploy-indx')->{err}, qr/did you mean 'deploy-index'/);
    is(moon('run', '.')->{status}, 3, 'a folder: 3');
    write_file('args.lua', 'print(select("#", ...), ...)');
    is(moon('run', 'args.lua', '-x', '--', '--json')->{out}, "2\t-x\t--json\n");

    write_file('flow.lua', <<'LUA');
local workflow = require "moongate.workflow"
return workflow.define {
  name = "flow", summary = "Try the parser",
  args = { { "file", "a file", repeated = true } },
  flags = { { "store", "where", env = "FLOW_STORE", required = true }, { "pause", "how long", type = "duration", default = "2s" } },
  run = function(_, args) return { store = args.store, pause = args.pause, files = args.file } end,
}
LUA
    $r = moon('run', 'flow.lua', '--pause', 'soon', '--stroe', 'x');
    is($r->{status}, 2, 'a workflow with faulty arguments: 2');
    like($r->{err}, qr/--pause needs a duration.*unknown flag --stroe \(did you mean '--store'\?\).*--store is required/s,
        'every fault at once') or diag($r->{err});
    my $doc = one_document(moon({ env => { FLOW_STORE => 's' } }, '--allow-env=FLOW_STORE', 'run', 'flow.lua', 'a', 'b', '--json', '--pause=800ms'), 'a workflow');
    is_deeply($doc, { store => 's', pause => 0.8, files => [ 'a', 'b' ] });
    like(moon('run', 'flow.lua', '--help')->{out}, qr/Try the parser.*--store STORE\s+where \(required; or FLOW_STORE/s, 'its help');
};

subtest 'a result that can not be written is a failure' => sub {
    my $r = run('sh', '-c', "$moongate help >/dev/full");
    is($r->{status}, 1, 'full disk: 1');
    like($r->{err}, qr/stdout.*No space left/i);
    is(run('sh', '-c', "$moongate -e 'print(1)' >/dev/full")->{status}, 1, 'print too');
    is(run('sh', '-c', "$moongate version >&-")->{status}, 1, 'closed from the start: 1');
    is(run('sh', '-c', "$moongate version <&- 2>&-")->{out}, moon('version')->{out}, 'closed stdin and stderr do not matter');
    run('sh', '-c', "{ $moongate -e 'require(\"moongate.task\").sleep(0.2) print(1)' 2>err; echo \$? >status; } | true");
    is(read_file('status'), "1\n", 'closed pipe: 1');
    like(read_file('err'), qr/Broken pipe/i);
};

subtest 'project file' => sub {
    mkdir 'project';
    mkdir 'project/below';
    write_file('project/moongate.lua', "return {\n  gateway = { regoin = 'x' },\n  limits = { dimensions = 'many' },\n}\n");
    my $r = moon({ dir => 'project/below' }, 'doctor');
    like($r->{out}, qr/FAIL  project file\s+moongate\.lua:2: gateway\.regoin: unknown field \(did you mean 'region'\?\)/, 'found from below');
    like($r->{out}, qr/moongate\.lua:3: limits\.dimensions: must be a whole number/, 'every fault');
    $r = moon({ dir => 'project' }, '--sim', 'deploy-index', 'x.json', '--vector-store', 's');
    is($r->{status}, 3, 'a workflow does not start: 3') or diag($r->{err});
    like($r->{err}, qr/regoin.*dimensions/s);
    is(moon('check', 'project/moongate.lua')->{status}, 3, 'check knows project files');
    write_file('project/moongate.lua', "return {\n  gateway = { region = 'x'\n");
    like(moon({ dir => 'project' }, 'check', 'moongate.lua')->{out}, qr/^moongate\.lua:3: .* expected/m, 'a syntax error has its line');
    is(moon('--config', 'nothing.lua', 'doctor')->{status}, 3, '--config that is not there: 3');
    write_file('project/moongate.lua', "return { webhooks = { g = { url = 'https://h.example', secret = secret 'NOT_SET_HERE' } } }");
    $r = moon({ dir => 'project' }, '--sim', 'deploy-index', 'x.json', '--vector-store', 's');
    is($r->{status}, 3);
    like($r->{err}, qr/webhooks\.g\.secret: NOT_SET_HERE is not set/, 'a secret whose variable is not set');
};

subtest 'check' => sub {
    mkdir 'lua';
    write_file('lua/a.lua', "local x = 1\nprnit(x)\nlocal function f() return y end\n");
    write_file('lua/b.lua', "return {\n  1\n");
    write_file('lua/c.lua', "return 1\n");
    my $r = moon('check', 'lua');
    is($r->{status}, 3);
    is($r->{out}, <<'TEXT', 'every fault of every file') or diag($r->{err});
lua/a.lua:2:1: unknown global 'prnit' (did you mean 'print'?)
lua/a.lua:3:27: unknown global 'y'
lua/b.lua:3:1: '}' expected (to close '{' at line 1) near <eof>
TEXT
    my $doc = one_document(moon('check', '--json', 'lua'), 'check');
    is_deeply([ map { "$_->{file}:$_->{line}" } @{ $doc->{error}{details} } ], [qw(lua/a.lua:2 lua/a.lua:3 lua/b.lua:3)]);
    is(moon('check', 'lua/c.lua')->{status}, 0);
    is(moon('check', 'nothing.lua')->{status}, 3);
    is(moon('check', "$root/scripts")->{status}, 0, 'the bundled workflows pass') or diag(moon('check', "$root/scripts")->{out});
};

subtest 'audit' => sub {
    my $r = moon('audit', 'verify');
    is($r->{status}, 0, 'nothing logged is no fault');
    like($r->{out}, qr/nothing was logged yet/);
    is(moon('--json', 'audit', 'show')->{out}, "[]\n");
    moon('--audit-log', 'a.jsonl', '-e', <<'LUA');
local audit = require "moongate.audit"
audit.event { action = "one", status = "DONE" }
local entry = audit.intent { action = "two", indexId = "a b" }
entry:outcome { status = "UPDATED" }
audit.event { action = "three" }
LUA
    $r = moon('audit', 'verify', 'a.jsonl');
    is($r->{status}, 0);
    is($r->{out}, "a.jsonl: 4 lines, every hash is good; it ends with the line that was written last\n");
    is(one_document(moon('audit', 'verify', '--json', 'a.jsonl'), 'verify')->{lines}, 4);
    my $shown = sub { my $r = moon('audit', 'show', 'a.jsonl', '--json', @_); is($r->{status}, 0, "show @_"); [ map { $_->{seq} } @{ json($r->{out}) } ] };
    is_deeply($shown->(), [ 1, 2, 3, 4 ]);
    is_deeply($shown->('--action', 'script.two'), [ 2, 3 ]);
    is_deeply($shown->('--action', 'script.two', '--action', 'script.one'), [ 1, 2, 3 ]);
    is_deeply($shown->('--action', 'script.two', '--action', 'script.one', '--last', 2), [ 2, 3 ]);
    is_deeply($shown->('--outcome', 'UPDATED'), [3]);
    is_deeply($shown->('--last', 1), [4]);
    is_deeply($shown->('--since', '1h', '--until', '2999'), [ 1, 2, 3, 4 ]);
    is_deeply($shown->('--until', '2001-01-01T00:00'), []);
    like(moon('audit', 'show', 'a.jsonl')->{out}, qr/^\d{4}-\S+Z  3 event  script\.two  of=2 source=script stage=after status=UPDATED gateway=\S+ user=\S+ host=\S+$/m, 'for people');
    is(moon('audit', 'show', 'a.jsonl', '--since', 'yesterday')->{status}, 2);
    my $log = read_file('a.jsonl');
    write_file('bad.jsonl', $log =~ s/"a b"/"a c"/r);
    $r = moon('audit', 'verify', 'bad.jsonl');
    is($r->{status}, 8, 'a changed line: 8');
    like($r->{err}, qr/bad\.jsonl:2: /, 'and where');
    is(one_document(moon('--json', 'audit', 'verify', 'bad.jsonl'), 'a bad log')->{first_bad}, 2);
    write_file('torn.jsonl', substr $log, 0, -20);
    is(one_document(moon('--json', 'audit', 'verify', 'torn.jsonl'), 'a torn log')->{torn}, JSON::PP::true);
    is(moon('audit', 'verify', 'no.jsonl')->{status}, 3, 'no such file: 3');
    is(moon('audit', 'show', '.')->{status}, 3, 'a folder: 3');
};

# Starts moongate, waits for the line "here", sends signals.
sub interrupted {
    my ($signals, @args) = @_;
    my $p = start(qr/(here)/, $moongate, @args) or return;
    for my $s (@$signals) { kill $s => $p->{pid}; sleep 0.05 }
    waitpid $p->{pid}, 0;
    return { status => $? >> 8, signal => $? & 127, out => read_file($p->{log}) };
}

subtest 'signals' => sub {
    my $spin = 'print("here") while true do pcall(function() while true do end end) end';
    my $wait = 'print("here") require("moongate.task").sleep(60)';
    for (['INT', $spin], ['TERM', $spin], ['INT', $wait], ['TERM', $wait]) {
        my ($signal, $chunk) = @$_;
        my $r = interrupted([$signal], '-e', $chunk);
        is($r->{status}, 130, "$signal: 130") or diag(explain $r);
        like($r->{out}, qr/interrupted/);
    }
    my $r = interrupted(['INT'], '--json', '-e', $wait);
    like($r->{out}, qr/^\{"error":\{"code":"interrupted".*\}\}$/m, 'with --json, too');
};

subtest 'moongate sim' => sub {
    for my $signal (qw(INT TERM)) {
        my $p = start(qr/GENESYSCLOUD_REGION=(http\S+)/, $moongate, 'sim') or return fail('sim starts');
        like(read_file($p->{log}), qr/OAUTHCLIENT_SECRET=\S+/, 'tells how to use it');
        like(read_file("/proc/$p->{pid}/limits"), qr/^Max core file size\s+0\s+0/m, 'no core file') if -e "/proc/$p->{pid}/limits";
        kill $signal => $p->{pid};
        waitpid $p->{pid}, 0;
        is($?, 0, "$signal ends it, status 0");
    }
    my $p = start(qr/"url":"(http[^"]+)"/, $moongate, '--json', 'sim') or return fail('sim starts');
    my ($line) = grep { /^\{/ } slurp_lines($p->{log});
    is_deeply([ sort keys %{ json($line) } ], [qw(client_id client_secret port url)], '--json: one document at the start');
    my $r = moon('sim', '--fault', 'staus=503');
    is($r->{status}, 2, 'a faulty fault: 2');
    is(moon('sim', '--tls', 'no.pem', 'no.key')->{status}, 3, 'no certificate: 3');
};

subtest 'colours' => sub {
    index_file('coloured');
    my @deploy = ('--sim', '--dry-run', 'deploy-index', 'coloured.json');
    unlike(moon(@deploy)->{out}, qr/\e/, 'none where no terminal is');
    like(moon('--color', 'always', @deploy)->{out}, qr/\e\[32m\s*\+ dimensions: 768\e\[0m/, 'what is added is green');
    like(moon({ env => { MOONGATE_COLOR => 'always' } }, @deploy)->{out}, qr/\e\[32m/, 'by the environment');
    like(moon('--color', 'always', 'nothing')->{err}, qr/\e\[31merror: \e\[0m/, 'an error is red');
    unlike(moon({ env => { NO_COLOR => 1 } }, '--color', 'auto', @deploy)->{out}, qr/\e/, 'NO_COLOR');
};

done_testing;
