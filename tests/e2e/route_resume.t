#!/usr/bin/env perl
# A run of route-prompts that is killed, or asked to end, and taken up again under its id: every line has a result, in order; only what was
# written in the last second before a kill -9 comes twice; the gateway sees one effect a prompt. And a file that is enqueued twice.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Moon;
use Test::More;
use Time::HiRes qw(sleep time);

my $n = 3000;
write_file('prompts.jsonl', join '', map { qq({"id":$_,"prompt":"Question $_"}\n) } 1 .. $n);

# Results go to the end of the file; is killed by the signal once there are enough of them -> exit status, or 0 - signal
sub life {
    my ($env, $file, $signal, $enough, @args) = @_;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        @ENV{ keys %$env } = values %$env;
        open STDIN,  '<',  '/dev/null'  or die $!;
        open STDOUT, '>>', $file        or die $!;
        open STDERR, '>',  "$file.err"  or die $!;
        exec $moongate, @args or POSIX::_exit(127);
    }
    my ($end, $sent) = (time + 60, 0);
    while (waitpid($pid, POSIX::WNOHANG()) == 0) {
        if ($signal && !$sent && -e $file && -s _ > $enough) { kill $signal => $pid; $sent = 1 }
        if (time > $end) { kill KILL => $pid; fail('it ends in time') }
        sleep 0.01;    # between two looks
    }
    return $? & 127 ? -($? & 127) : $? >> 8;
}

for my $case (['TERM', 130, 0], ['KILL', -9, $n]) {
    my ($signal, $expected, $twice_most) = @$case;
    subtest "SIG$signal" => sub {
        my $sim  = start_sim('--rate-limit', 0, '--prompts', 'latency=0.005');
        my $file = "results-$signal";
        my @args = ('--state', "sqlite:$signal.db", '--audit-log', "$signal.jsonl", 'route-prompts', 'prompts.jsonl', '--model', 'sim-small',
            '--concurrency', 8, '--run-id', "r-$signal");
        is(life($sim->{env}, $file, $signal, 100_000, @args), $expected, 'the first life');
        my $half = () = read_file($file) =~ /\n/g;
        cmp_ok($half, '<', $n, "$half results are out");
        is(life($sim->{env}, $file, $signal, 500_000, @args), $expected, 'the second');
        is(life($sim->{env}, $file, undef, 0, @args), 0, 'the third comes to the end');
        my ($wrong, $twice, $last, %seen) = (0, 0, 0);
        for my $result (map { json($_) } slurp_lines($file)) {
            $wrong++ if $result->{line} > $last + 1 || $result->{status} ne 'ok';
            if (my $id = $seen{ $result->{line} }) { $twice++; $wrong++ if $id ne $result->{request_id} }
            $last = $result->{line};
            $seen{$last} = $result->{request_id};
        }
        is_deeply([scalar keys %seen, $last, $wrong], [$n, $n, 0], 'every line has a result, in order');
        cmp_ok($twice, '<=', $twice_most, "$twice of them twice");
        my ($c) = values %{ sim_get($sim, 'stats')->{prompts}{models} };
        is($c->{hits}, $n, 'each prompt had one effect');
        is($c->{requests}, $n, 'under one request id');
        kill TERM => $sim->{pid};
    };
}

subtest 'a file that is enqueued twice' => sub {
    my @args = ('--sim', '--state', 'sqlite:queue.db', 'route-prompts', 'prompts.jsonl', '--model', 'sim-small', '--enqueue', '--run-id');
    is(moon(@args, 'q-1')->{out}, "queue prompts: $n prompts added\n", 'once');
    moon(@args, 'q-1');
    my $counts = sub { json(moon('--sim', '--json', '--state', 'sqlite:queue.db', 'work', 'status')->{out})->{queues}[0]{counts} };
    is($counts->()->{queued}, $n, 'the same run adds nothing twice');
    moon(@args, 'q-2');
    is($counts->()->{queued}, 2 * $n, 'another one does');
};
done_testing;
