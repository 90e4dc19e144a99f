#!/usr/bin/env perl
# A queue worked off by four processes of which one is killed (kill -9) every so often: each prompt has one result and had one effect,
# and the limits that all workers share are never passed. On SQLite, and on PostgreSQL where Debian's package is there; that crashes once.
# PROMPTS=20000 (make soak) is the long form.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
BEGIN {    # the whole test again, inside of a server
    if (!$ENV{PG_PRIVATE} && !$ENV{WORK_ALONE}) {
        my $status = system "$FindBin::Bin/../lib/postgres", $^X, $0, @ARGV;
        exit($status ? 1 : 0) if $status >> 8 != 77;
        $ENV{WORK_ALONE} = 1;
    }
}

use Moon;
use Test::More;
use Time::HiRes qw(sleep time);

my $n     = $ENV{PROMPTS} // 2000;
my $every = $n > 5000 ? 2 : 0.4;    # seconds between two kills
my $seed  = $ENV{SEED} // 7;
srand $seed;

sub in_background {
    my ($env, $out, @args) = @_;
    my $pid = fork // die "fork: $!";
    return $pid if $pid;
    @ENV{ keys %$env } = values %$env;
    open STDIN,  '<', '/dev/null'  or die $!;
    open STDOUT, '>', $out         or die $!;
    open STDERR, '>', "$out.err"   or die $!;
    exec $moongate, @args or POSIX::_exit(127);
}

sub ended {
    my ($pid) = @_;
    return waitpid($pid, POSIX::WNOHANG()) == $pid;
}

# Until every one of them has ended by itself, or the time is over.
sub all_end {
    my ($seconds, @pids) = @_;
    my $end = time + $seconds;
    my %left = map { $_ => 1 } @pids;
    while (%left && time < $end) {
        ended($_) && delete $left{$_} for keys %left;
        sleep 0.02;    # between two looks
    }
    kill KILL => $_ for keys %left;
    waitpid $_, 0 for keys %left;
    return !%left;
}

sub prompts_file {
    my ($name, $count) = @_;
    return write_file($name, join '', map { qq({"id":$_,"prompt":"Question $_: what becomes of order @{[$_ * 7]}?"}\n) } 1 .. $count);
}

sub results_of {
    my ($file) = @_;
    return map { json($_) } slurp_lines($file);
}

sub worked_off {
    my ($state) = @_;
    my $sim = start_sim('--seed', $seed, '--rate-limit', 0, '--prompts', 'busy=0.03,failure=0.02,cut=0.02,latency=0.01');
    my %env = %{ $sim->{env} };
    my @state = ('--state', $state);
    my $file = prompts_file('prompts.jsonl', $n);
    my @enqueue = (@state, 'route-prompts', $file, '--model', 'sim-small', '--enqueue', '--concurrency', 24);
    is(moon({ env => \%env }, @enqueue)->{out}, "queue prompts: $n prompts added\n", 'all are in the queue');
    moon(@state, 'work', 'set', 'prompts', '--backoff', '50ms', '--attempts', 100);

    my ($k, $killed, $began) = (0, 0, time);
    my $new = sub { in_background(\%env, 'worker-' . ++$k, @state, '--audit-log', 'audit.jsonl', 'work', '--drain', '-c', 12, '--quiet') };
    my $follower = in_background({}, 'followed', @state, 'work', 'results', 'prompts', '--follow', '--quiet');
    my @workers = map { $new->() } 1 .. 4;
    my ($end, $next, $restart) = (time + 60 + $n / 100, time + $every, $state =~ /^postgres/ ? time + 1 : 0);
    while (@workers && time < $end) {
        @workers = grep { !ended($_) } @workers;
        if ($restart && time >= $restart) {    # the server crashes, and is there again
            is(system("$root/tests/lib/postgres", '--restart', 'immediate'), 0, 'the server was killed and started again');
            $restart = 0;
        }
        if (@workers && time >= $next) {
            my $which = int rand @workers;
            kill KILL => $workers[$which];
            waitpid $workers[$which], 0;
            $killed++;
            $workers[$which] = $new->();
            $next = time + $every;
        }
        sleep 0.02;    # between two looks
    }
    my $seconds = time - $began;
    is(scalar @workers, 0, 'the workers come to an end') or kill KILL => @workers;
    ok(all_end(30, $follower), 'and so does who follows the results');
    cmp_ok($killed, '>=', 2, 'some were killed');
    diag(sprintf '%s: %d prompts in %.1f s (%.0f/s), %d workers killed', $state =~ /^(\w+)/, $n, $seconds, $n / $seconds, $killed);

    my ($i, $wrong, %status, %request) = (0, 0);
    for my $result (results_of('followed')) {
        $i++;
        $wrong++ if $result->{line} != $i || $result->{id} != $i;
        $status{ $result->{status} }++;
        $request{ $result->{request_id} }++;
    }
    is_deeply([$i, $wrong, \%status], [$n, 0, { ok => $n }], 'each prompt has one result, in its order');
    is(scalar keys %request, $n, 'and a request id of its own');
    my $again = moon({ seconds => 120 }, @state, 'work', 'results', 'prompts');
    is($again->{out}, read_file('followed'), 'the results are the same for who asks later');

    my $stats = sim_get($sim, 'stats')->{prompts};
    my ($c) = values %{ $stats->{models} };
    is($c->{hits}, $n, 'each had one effect');
    is($c->{requests}, $n, 'the gateway saw each request id');
    is($stats->{without_id}, 0, 'and none without');
    cmp_ok($c->{attempts}, '>', $n, 'some were sent again');
    cmp_ok($stats->{most_at_once}, '<=', 24, 'never more at once than all workers together may');
    cmp_ok($stats->{most_at_once}, '>=', 12, 'but more than one worker alone');
    my $verify = json(moon('--json', 'audit', 'verify', 'audit.jsonl')->{out});
    cmp_ok($verify->{lines}, '>=', $n, 'the audit log has an event for each');
    ok(!defined $verify->{first_bad}, 'and its chain holds');
    my $status = json(moon('--json', @state, 'work', 'status', 'prompts')->{out})->{queues}[0];
    is_deeply([$status->{counts}{done}, $status->{workers}], [$n, []], 'nobody has anything any more');
    kill TERM => $sim->{pid};
}

sub limited {
    my ($state) = @_;
    my $sim = start_sim('--seed', $seed, '--rate-limit', 0, '--prompts', 'busy=0.1');
    my %env = %{ $sim->{env} };
    my @state = ('--state', $state);
    my $file = prompts_file('few.jsonl', 120);
    moon({ env => \%env }, @state, 'route-prompts', $file, '--model', 'sim-small', '--enqueue', '--queue-name', 'slow', '--rate', 40);
    moon(@state, 'work', 'set', 'slow', '--backoff', '50ms');
    my $began = time;
    my @workers = map { in_background(\%env, "slow-$_", @state, '--audit-log', 'slow.jsonl', 'work', '--queue-name', 'slow', '--drain', '--quiet') } 1 .. 3;
    ok(all_end(60, @workers), 'three workers under a rate');
    my $seconds = time - $began;
    my $stats = sim_get($sim, 'stats')->{prompts};
    cmp_ok($stats->{most_in_a_second}, '<=', 41, 'tries again are counted, and no second saw more');
    cmp_ok($stats->{most_in_a_second}, '>=', 25, 'it was not much less');
    cmp_ok($stats->{most_at_once}, '<=', 8, 'the default for all workers');
    is(scalar(slurp_lines($_)), 120, 'all have results') for write_file('out', moon(@state, 'work', 'results', 'slow')->{out});
    kill TERM => $sim->{pid};
}

# One that is asked to end gives back what it has, and the others go on.
sub interrupted {
    my ($state) = @_;
    my $sim = start_sim('--seed', $seed, '--rate-limit', 0, '--prompts', 'latency=0.2');
    my %env = %{ $sim->{env} };
    my @state = ('--state', $state);
    my $file = prompts_file('some.jsonl', 40);
    moon({ env => \%env }, @state, 'route-prompts', $file, '--model', 'sim-small', '--enqueue', '--queue-name', 'stopped');
    my $worker = in_background(\%env, 'stopped', @state, '--audit-log', 'stopped.jsonl', 'work', '--queue-name', 'stopped', '--quiet');
    my $end = time + 30;
    while (time < $end && (sim_get($sim, 'stats')->{prompts}{most_at_once} // 0) < 8) { sleep 0.02 }
    kill TERM => $worker;
    ok(all_end(10, $worker), 'SIGTERM ends a worker');
    is($? >> 8, 0, 'which is what was wanted: 0');
    my $counts = json(moon('--json', @state, 'work', 'status', 'stopped')->{out})->{queues}[0]{counts};
    is($counts->{done} + $counts->{queued} + $counts->{waiting} + $counts->{running}, 40, 'nothing is lost');
    my $drain = moon({ env => \%env }, @state, '--json', 'work', '--queue-name', 'stopped', '--drain');
    is($drain->{status}, 0, 'another one does the rest');
    my ($c) = values %{ sim_get($sim, 'stats')->{prompts}{models} };
    is($c->{hits}, 40, 'each had one effect');
    kill TERM => $sim->{pid};
}

my @states = ('sqlite:work.db', $ENV{PG_PRIVATE} ? 'postgres:///postgres' : ());
for my $state (@states) {
    my ($kind) = $state =~ /^(\w+)/;
    subtest "$kind: four workers, one killed every so often" => sub { worked_off($state) };
    next if $n > 5000;
    subtest "$kind: a rate for all"     => sub { limited($state) };
    subtest "$kind: asked to end"       => sub { interrupted($state) };
}
diag('no PostgreSQL here: SQLite alone') if @states == 1;
done_testing;
