#!/usr/bin/env perl
# `moongate repl`: as a script from a pipe; and on a terminal, which tmux plays.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use Moon;
use Test::More;
use Time::HiRes qw(time);

# ---- from a pipe ----

sub piped { my ($text, @flags) = @_; moon({ stdin => $text }, 'repl', '--sim', @flags) }

my $r = piped("1 + 1\nlocal x = 20\nfor i = 1, 2 do\n  x = x + i\nend\nx\n_ + 1\n= 'a' .. 'b'\n");
is($r->{out}, qq(2\n23\n24\n"ab"\n), 'values are shown; locals last; a statement of several lines; _ is the last result');
is($r->{status}, 0, 'and all is well');
is($r->{err}, '', 'a pipe gets no prompt');

$r = piped("x = 1\nerror 'no'\nprint 'not reached'\n");
is($r->{status}, 1, 'the first failure ends it');
unlike($r->{out}, qr/reached/, 'what follows does not run');
like($r->{err}, qr/repl:1: no|error: .*no/, 'and it is told');
is(piped("http.get 'http://127.0.0.1:1/'\nassert(http.get('http://127.0.0.1:1/', { deadline = 0.1 }))\n", '--allow-net=127.0.0.1')->{status},
    6, "a failure's status is the program's");
is(piped("for i = 1, 2 do\n")->{status}, 3, 'input that ends inside of a statement');
is(piped("x = = 1\n")->{status}, 3, 'a syntax error');
$r = piped("assert(fs.read '/etc/hostname')\n");
is($r->{status}, 7, 'a line may do what a script may');
like($r->{err}, qr{--allow-read=/etc/hostname}, 'and is told what would allow it');
is(piped("assert(fs.read '/etc/hostname') ~= ''\n", '--allow-read=/etc/hostname')->{out}, "true\n", 'which does');
is(piped("assert(http.get 'http://127.0.0.1:1/')\n")->{status}, 7, 'hosts, too');
is(piped("secret.env 'CANARY'\n")->{out}, "nil\n", 'and variables');
write_file('greedy.lua', "assert(fs.read '/etc/hostname')\n");
is(piped("1\n", '-i', 'greedy.lua')->{status}, 7, 'what -i loads');
is(piped(":load greedy.lua\n")->{status}, 7, 'and what :load does');

$r = piped(<<'LUA');
t = task.spawn(function() task.sleep(0.01) return 7 end)
task.sleep(0.05)
t:join()
gw:get("index", { vectorStoreId = "s", indexId = "none" })
{ password = "hunter2-hunter2", n = { 1, { 2, { 3, { 4, { 5, { 6 } } } } } } }
secret.of "a secret value"
("x"):rep(5000)
require("moongate.uuid").is(uuid.v4())
LUA
is($r->{status}, 0, 'tasks go on between lines') or diag($r->{err});
like($r->{out}, qr/^7\nnil\n/, 'a task that an earlier line has spawned is joined; the gateway answers');
like($r->{out}, qr/password = \*\*\*/, 'what is named like a secret is not shown');
unlike($r->{out}, qr/hunter2|a secret value/, 'no secret is shown');
like($r->{out}, qr/\{ \.\.\. \}/, 'what is deep is cut');
like($r->{out}, qr/ \.\. \(5000 bytes\)/, 'what is long is cut');
like($r->{out}, qr/\ntrue\n\z/, 'modules are there by require, too');

like(piped("task.spawn(function() error 'lost' end)\ntask.sleep(0.05)\n")->{err}, qr/in the background: .*lost/, 'a failure behind the scenes is told');
like(piped(":type http.request\n:time 1 + 1\n:help uuid.v4\nhelp(hash.sha256)\n")->{out},
    qr/function http\.request\(.*2\n.*uuid\.v4\(\).*hash\.sha256\(/s, ':type, :time, :help, help()');
is(piped(":nonsense\n")->{status}, 2, 'an unknown command');
like(piped(":trase on\n")->{err}, qr/did you mean ':trace'/, 'with what was meant');
write_file('helpers.lua', "function double(n) return n * 2 end\nlocal hidden = 1\n");
is(piped("double(21)\nhidden\n", '-i', 'helpers.lua')->{out}, "42\nnil\n", '-i runs a file first');
is(piped(":load helpers.lua\ndouble(4)\n")->{out}, "8\n", ':load runs one');
is(json(moon({ stdin => "1\n{a=1}\n'x','y'\n" }, 'repl', '--sim', '--json')->{out})->{results}[1]{a}, 1, '--json: one document of all results');

# ---- :save ----

$r = piped(<<'LUA');
-- nothing
place = { vectorStoreId = "store-1", indexId = "orders" }
1 + 1
help(uuid)
local config = { indexId = "orders", dimensions = 768, similarityMetric = "cosine", embeddingFormat = "float32" }
config.autoIngestTrigger, config.webhookSyncUrl = true, "https://hooks.example.com/x"
for name in pairs(config) do
  assert(name ~= "")
end
gw:write("index", place, { content = config, action = "save_test" }).status
print("wrote", _)
broken.field = 1
:save saved.lua
LUA
is($r->{status}, 1, 'a line that fails ends the script');
$r = piped(<<'LUA');
place = { vectorStoreId = "store-1", indexId = "orders" }
help(uuid)
local config = { indexId = "orders", dimensions = 768, similarityMetric = "cosine", embeddingFormat = "float32" }
config.autoIngestTrigger, config.webhookSyncUrl = true, "https://hooks.example.com/x"
for name in pairs(config) do
  assert(name ~= "")
end
place
gw:write("index", place, { content = config, action = "save_test" })
print("wrote", _.etag ~= nil)
:save saved.lua
LUA
is($r->{status}, 0, ':save writes the session') or diag($r->{err});
is(moon('check', 'saved.lua')->{status}, 0, 'as a workflow without a fault') or diag(read_file('saved.lua'));
$r = moon('--sim', 'run', 'saved.lua');
is($r->{status}, 0, 'that runs') or diag($r->{err}, read_file('saved.lua'));
like($r->{out}, qr/wrote\ttrue/, 'and does what was done');
unlike(read_file('saved.lua'), qr/help|^\s*place\s*$/m, 'what only looked at something is not in it');
piped("password = 'hunter2-hunter2'\nx = 1\n:save kept.lua\n");
like(read_file('kept.lua'), qr/password = '\*\*\*'\n/, ':save writes no secret');
$r = piped("password = 1\n:save kept.lua\n");
is($r->{status}, 2, ':save overwrites no file of another session');
like($r->{err}, qr/kept\.lua is there, and this session has not written it; `:save! kept\.lua` overwrites it/, 'and says so');
like(read_file('kept.lua'), qr/^    x = 1$/m, 'which is as it was');
is(piped("y = 2\n:save! kept.lua\n:save kept.lua\n")->{status}, 0, ':save! does, and from then on it is the session\'s own');
like(read_file('kept.lua'), qr/^    y = 2$/m, 'with what was done');
$r = piped(<<'LUA');
place = { vectorStoreId = "store-1", indexId = "orders" }
config = { indexId = "orders", dimensions = 768, similarityMetric = "cosine", embeddingFormat = "float32" }
config.autoIngestTrigger, config.webhookSyncUrl = true, "https://hooks.example.com/x"
:dry on
gw:write("index", place, {
  content = config, action = "save_test" })
:dry off
print "done"
:save dry.lua
LUA
like($r->{err}, qr/dry\.lua: 16 lines \(commented out: 1 statement entered under :dry on\); moongate run dry\.lua/, ':save tells what it has left to be done');
like(read_file('dry.lua'), qr/^ +-- under :dry on: .*gw:write\("index", place, \{\n +--  +content = config, action = "save_test" \}\)$/m, 'lines under :dry on are comments');
$r = moon('--sim', '--json', 'run', 'dry.lua');
is($r->{status}, 0, 'and the workflow runs') or diag($r->{err}, read_file('dry.lua'));
unlike($r->{out} . $r->{err}, qr/index_?create|save_test/, 'without the write');
like(piped(":dry on\ngw:write('index', { vectorStoreId = 's', indexId = 'i' }, { content = { indexId = 'i', dimensions = 8, "
      . "similarityMetric = 'cosine', embeddingFormat = 'float32', autoIngestTrigger = true, webhookSyncUrl = 'https://h.example.com' } }).status\n"
      . "gw:get('index', { vectorStoreId = 's', indexId = 'i' })\n")->{out}, qr/nil\n\z/, ':dry on: nothing is written');

# ---- on a terminal ----

SKIP: {
    my $version = `tmux -V 2>/dev/null`;
    skip 'tmux is not installed: the prompt is not tried on a terminal', 1 unless $version;
    my ($n, @tmux) = (0);
    my $fresh = sub { # a server of its own each time: one that is ending takes no new session
        run(@tmux, 'kill-server') if @tmux;
        @tmux = ('tmux', '-S', "$dir/tmux" . $n++, '-f', '/dev/null');
    };
    my $screen = sub { scalar run(@tmux, 'capture-pane', '-p', '-t', 'm')->{out} };
    my $keys = sub { run(@tmux, 'send-keys', '-t', 'm', @_) };
    my $type = sub { run(@tmux, 'send-keys', '-t', 'm', '-l', @_) };

    # Waits until the screen, without its empty end, looks like this.
    my $see = sub {
        my ($want, $name) = @_;
        my ($end, $text) = (time + 15, '');
        while (time < $end) {
            ($text = $screen->()) =~ s/\s+\z//;
            last if $text =~ $want;
            select undef, undef, undef, 0.02;
        }
        like($text, $want, $name);
    };
    my $open = sub {
        my (%env) = @_;
        local %ENV = (%ENV, TERM => 'xterm', MOONGATE_STATE => "$dir/repl-state", %env);
        $fresh->();
        run(@tmux, 'new-session', '-d', '-s', 'm', '-x', 100, '-y', 30, "TERM=$ENV{TERM} $moongate --sim --allow-net=127.0.0.1 repl; echo ended: \$?; exec cat");
        $see->(qr/^moongate \(sim\)>$/m, 'the prompt stands');
    };
    my $prompt = qr/moongate \(sim\)>/;

    $open->();
    $type->("htt\t");
    $see->(qr/$prompt http$/, 'Tab completes a name') or $keys->('BSpace');
    $type->(".requ\t");
    $see->(qr/$prompt http\.request$/, 'and a function of a module');
    $keys->('C-c');
    $see->(qr/request\^C\n$prompt$/, 'Ctrl-C takes the line away');
    $type->("gw:po\t");
    $see->(qr/poll +post_path\n$prompt gw:po$/, 'Tab lists methods');
    $keys->('C-c');
    $type->("require \"moongate.uu\t");
    $see->(qr/require "moongate\.uuid$/, 'Tab completes a module');
    $keys->('C-c');
    write_file('a_file_with_a_name.txt', 'x');
    $type->("fs.read(\"a_fi\t");
    $see->(qr/fs\.read\("a_file_with_a_name\.txt$/, 'Tab completes a file');
    $keys->('C-c');
    $type->("c = http.client{ base_url = 'http://127.0.0.1:1' }\n");
    $type->("c:req\t");
    $see->(qr/$prompt c:request$/, 'Tab completes a method of an object of the program');
    $keys->('C-c');

    $type->("for i = 1, 2 do\n");
    $see->(qr/\.\.\.>$/, 'what is not whole goes on');
    $type->("print('round', i)\nend\n");
    $see->(qr/round\t?\s*1\nround\t?\s*2\n$prompt$/, 'and runs when it is');
    $type->("\"gr\xc3\xbc\xc3\x9fe\"\n");
    $see->(qr/"gr\xc3\xbc\xc3\x9fe"\n"gr\xc3\xbc\xc3\x9fe"\n$prompt$/, 'text of more than ASCII');

    my $silent = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1', Timeout => 15) or die $!;
    my $start = time;
    $type->('assert(http.get("http://127.0.0.1:' . $silent->sockport . '/", { deadline = 60 }))' . "\n");
    my $taken = $silent->accept;
    $keys->('C-c');
    $see->(qr/\^C\s*interrupted\n$prompt$/, 'Ctrl-C ends a call of 60 seconds');
    cmp_ok(time - $start, '<', 20, 'at once');
    $type->("print 'spins' while true do end\n");
    $see->(qr/^spins$/m, 'a loop runs');
    $keys->('C-c');
    $see->(qr/spins\n\^C\s*interrupted\n$prompt$/, 'and is ended, too');
    for my $times (1, 3) {    # a line in a function that no hook reaches takes the program with it
        my @session = @tmux;
        @tmux = ('tmux', '-S', "$dir/tmux-stuck$times", '-f', '/dev/null');
        run(@tmux, 'new-session', '-d', '-s', 'm', '-x', 100, '-y', 30, "TERM=xterm MOONGATE_HISTORY= $moongate --sim repl; echo ended: \$?; exec cat");
        $see->(qr/^$prompt$/m, 'a prompt');
        $type->("print 'stuck' string.find(('a'):rep(100000), ('a*'):rep(20) .. 'b')\n");
        $see->(qr/^stuck$/m, 'a search in a pattern');
        my $began = time;
        for my $i (1 .. $times) {
            $keys->('C-c');
            $see->(qr/(?:\^C){$i}|ended/, "Ctrl-C $i");
        }
        $see->(qr/ended: 130/, 'ends');
        cmp_ok(time - $began, '<', $times == 1 ? 4.5 : 1.9, $times == 1 ? 'by the watchdog' : 'at once');
        run(@tmux, 'kill-server');
        @tmux = @session;
    }

    $type->("i == nil, 1 + 1\n");
    $see->(qr/true  2\n$prompt$/, 'the session goes on');

    $type->("ticker = task.spawn(function() task.sleep(0.3) print 'tick' log.warn 'a line of the log' end)\n");
    $type->('half a li');
    $see->(qr/\ntick\nwarn: a line of the log\n$prompt half a li$/, 'output of a task in the background goes above the line');
    $keys->('C-c');

    $type->("password = 'correct horse'\n");
    $type->("auth.bearer('tok-1234567890', 'https://x.example.com') ~= nil\n");
    $type->("headers = { Authorization = 'Bearer abcdefghijklmnop' }\n");
    $type->("remembered = 4711\n");
    $see->(qr/4711\n$prompt$/, 'lines are taken');
    $keys->('C-d');
    $see->(qr/ended: 0/, 'Ctrl-D ends the session');
    my $history = read_file("$dir/repl-state/sim/history");
    like($history, qr/^remembered = 4711$/m, 'the history holds the lines');
    like($history, qr/^for i = 1, 2 do print\('round', i\) end$/m, 'one of several as one');
    unlike($history, qr/correct horse|tok-1234567890|abcdefghijklmnop/, 'and no secret');
    is((stat "$dir/repl-state/sim/history")[2] & 0777, 0600, 'only the user may read it');

    # In a shell: Ctrl-Z and back, and the terminal as it was after a signal.
    { local $ENV{MOONGATE_STATE} = "$dir/shell-state"; $fresh->(); run(@tmux, 'new-session', '-d', '-s', 'm', '-x', 100, '-y', 30, "env PS1='shell> ' bash --norc --noprofile -i") }
    $see->(qr/shell>$/, 'a shell');
    $type->("TERM=xterm $moongate --sim repl\n");
    $see->(qr/$prompt$/, 'a prompt in it');
    $type->('abc');
    $see->(qr/$prompt abc$/, 'a line is begun');
    $keys->('C-z');
    $see->(qr/Stopped.*\nshell>$/s, 'Ctrl-Z stops the program');
    $type->("fg\n");
    $see->(qr/$prompt abc$/, 'and the line is there again');
    $type->("d = 1\n");
    $see->(qr/abcd = 1\n$prompt$/, 'and goes on');
    my ($shell) = run(@tmux, 'display-message', '-p', '-t', 'm', '#{pane_pid}')->{out} =~ /(\d+)/;
    my ($child) = run('ps', '-o', 'pid=', '--ppid', $shell)->{out} =~ /(\d+)/;
    kill TERM => $child;
    $see->(qr/\nmoongate: error: interrupted\n\s*shell>$/, 'SIGTERM ends it');
    $type->("stty -a | grep -c ' icanon'\n");
    $see->(qr/\n1\nshell>$/, 'the terminal is as it was');

    $open->();
    $keys->('Up');
    $see->(qr/$prompt remembered = 4711$/, 'the next session knows them');
    $keys->('C-c');
    $keys->('C-r');
    $type->('half');
    $keys->('C-c');
    $type->(":quit\n");
    $see->(qr/ended: 0/, ':quit ends it');

    $open->(MOONGATE_HISTORY => "$dir/elsewhere");
    $type->("moved = 1\n:quit\n");
    $see->(qr/ended: 0/, 'ended');
    like(read_file("$dir/elsewhere"), qr/^moved = 1$/m, 'MOONGATE_HISTORY moves the file');
    $open->(MOONGATE_HISTORY => '');
    $type->("unseen = 1\n:quit\n");
    $see->(qr/ended: 0/, 'ended');
    unlike(read_file("$dir/repl-state/sim/history"), qr/unseen/, 'or turns it off');

    $open->(TERM => 'dumb');
    $type->("1 + 2\n");
    $see->(qr/> 1 \+ 2\n3\nmoongate \(sim\)>$/, 'a terminal that can do nothing gets plain lines');
    $keys->('C-c');
    $see->(qr/\^C\n$prompt$/, 'Ctrl-C there');
    $type->("print 'waits' task.sleep(60)\n");
    $see->(qr/^waits$/m, 'a call there');
    $keys->('C-c');
    $see->(qr/interrupted\n$prompt$/, 'is ended, too');
    $keys->('C-d');
    $see->(qr/ended: 0/, 'and the end');
    run(@tmux, 'kill-server');
}
done_testing;
