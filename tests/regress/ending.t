#!/usr/bin/env perl
# --max-time, SIGTERM, SIGHUP and Ctrl-C end everything in the same order: metrics, spans, leases, status, one document.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../e2e/lib";
use Moon;
use POSIX ();
use Test::More;

my $sim = start_sim('--rate-limit', '0');
my %env = %{ $sim->{env} };
my $script = write_file('slow.lua', <<'LUA');
return require "moongate.workflow".define { name = "slow", summary = "takes a while", flags = {
  { "stuck", "sleep inside of a step", type = "boolean" } }, run = function(run, args)
  run:hold { { "index", { vectorStoreId = "v", indexId = "held" } } }
  local function sleep() require "moongate.log".warn("it is begun") require "moongate.task".sleep(60) return true end
  if args.stuck then run:step("wait", sleep) else sleep() end
end }
LUA

sub ended {    # a process of start() -> {status, out, seconds}
    my ($p) = @_;
    my $end = time + 20;
    while (waitpid($p->{pid}, POSIX::WNOHANG) == 0) {
        kill KILL => $p->{pid} if time > $end;
        select undef, undef, undef, 0.02;
    }
    return { status => $? >> 8, signal => $? & 127, text => read_file($p->{log}) };
}

sub check {
    my ($what, $status, $code, $r, $prom) = @_;
    is($r->{signal}, 0, "$what: ends by itself");
    is($r->{status}, $status, "$what: exit $status");
    my ($document) = $r->{text} =~ /^(\{.*\})$/m;
    is(eval { json($document)->{error}{code} }, $code, "$what: one document, $code") or diag($r->{text});
    like(read_file($prom), qr/^moongate_run_exit_status\{.*workflow="slow".*\} $status$/m, "$what: metrics") if $prom;
    my $leases = moon({ env => \%env }, 'lease', 'list', '--json');
    is_deeply(json($leases->{out})->{leases}, [], "$what: no lease is left");
}

for my $signal (qw(HUP TERM INT)) {
    my $p = start({ env => \%env }, qr/(it is begun)/, $moongate, '--json', '--metrics-file', "$signal.prom", 'run', $script);
    kill $signal => $p->{pid};
    kill HUP     => $p->{pid} if $signal eq 'HUP';    # a shell and the terminal both send one
    check($signal, 130, 'interrupted', ended($p), "$signal.prom");
}
my $run = json(moon({ env => \%env }, 'runs', 'list', '--json')->{out})->{runs}[0];
is($run->{status}, 'interrupted', 'the run can be resumed');

my $p = start({ env => \%env }, qr/(it is begun)/, 'sh', '-c', q(trap '' HUP; exec "$@"), 'sh', $moongate, '--json', 'run', $script);
kill HUP => $p->{pid};
select undef, undef, undef, 0.3;
is(waitpid($p->{pid}, POSIX::WNOHANG), 0, 'nohup: SIGHUP stays ignored');
kill TERM => $p->{pid};
check('nohup', 130, 'interrupted', ended($p));

for my $more ([], ['--stuck']) {
    my $r = moon({ env => \%env, seconds => 20 }, '--json', '--max-time', '1s', '--metrics-file', 'time.prom', 'run', $script, @$more);
    check("--max-time @$more", 1, 'timeout', { %$r, text => $r->{out} }, 'time.prom');
    like($r->{err}, qr/took longer than --max-time 1s/, 'and says so');
    cmp_ok($r->{elapsed}, '<', 15, 'in time');
    unlink 'time.prom';
}

# A plain script, and a batch.
$p = start({ env => \%env }, qr/(begun)/, $moongate, '--json', '-e', 'print "begun" require "moongate.task".sleep(60)');
kill TERM => $p->{pid};
check('a plain script', 130, 'interrupted', ended($p));

mkdir 'many';
write_file("many/i$_.json", qq({"indexId":"i$_","dimensions":8,"similarityMetric":"cosine","embeddingFormat":"float32"})) for 1 .. 30;
my $r = moon({ env => \%env, seconds => 30 }, '--json', '--max-time', '2s', 'deploy-index', '--rate', '5', '--concurrency', '1', 'many');
is($r->{status}, 1, 'a batch that is cut off');
my $summary = json($r->{out})->{error}{summary};
is($summary->{total}, 30, 'has its summary');
cmp_ok($summary->{created} // 0, '>', 0, 'what was done');
cmp_ok($summary->{not_started}, '>', 0, 'and what was not');
like($r->{err}, qr/30 indexes: .*not started/, 'for people, too');
done_testing;
