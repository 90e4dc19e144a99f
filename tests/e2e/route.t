#!/usr/bin/env perl
# route-prompts from standard input over a gateway that misbehaves: every line has one result, in order; nothing goes twice but under its
# request id; what it counts is what the gateway counted; its memory does not grow. PROMPTS=100000 (make soak) is the long form.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Moon;
use Test::More;
use Time::HiRes qw(sleep time);

my $n     = $ENV{PROMPTS} // 5000;
my @chain = qw(sim-small sim-large sim-strict);
my %id    = map { $chain[$_] => sprintf '5a3e1a00-0000-4000-8000-%012d', $_ + 1 } 0 .. 2;

sub prompts_file {
    open my $fh, '>', 'prompts.jsonl' or die $!;
    for my $i (1 .. $n) { print $fh qq({"id":$i,"prompt":"Question $i: what becomes of order @{[$i * 7]}? ), 'Please explain. ' x ($i % 20), qq("}\n) }
    close $fh;
    return 'prompts.jsonl';
}

# Runs it with standard output in a file -> {status, err, samples => [[bytes written, RSS in KiB], ...], seconds}
sub watched {
    my ($env, $in, @args) = @_;
    my $began = time;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        @ENV{ keys %$env } = values %$env;
        open STDIN,  '<', $in         or die $!;
        open STDOUT, '>', 'results'   or die $!;
        open STDERR, '>', 'route.err' or die $!;
        exec $moongate, @args or POSIX::_exit(127);
    }
    my (@samples, $end) = ();
    $end = $began + 30 + $n / 300;
    while (waitpid($pid, POSIX::WNOHANG()) == 0) {
        my ($rss) = read_file("/proc/$pid/status") =~ /^VmRSS:\s+(\d+)/m if -r "/proc/$pid/status";
        push @samples, [-s 'results' // 0, $rss] if $rss;
        if (time > $end) { kill KILL => $pid; fail('it ends in time') }
        sleep 0.05;    # between two samples
    }
    return { status => $? >> 8, err => read_file('route.err'), samples => \@samples, seconds => time - $began };
}

sub tenth {
    my ($r, $from, $to) = @_;
    my $size = -s 'results';
    my @rss = map { $_->[1] } grep { $_->[0] >= $from * $size && $_->[0] <= $to * $size } @{ $r->{samples} };
    my $sum = 0;
    $sum += $_ for @rss;
    return @rss ? $sum / @rss : 0;
}

my $sim = start_sim('--rate-limit', 0, '--prompts', 'busy=0.05,failure=0.03,policy=0.02,cut=0.01');
my $r   = watched($sim->{env}, prompts_file(), 'route-prompts', '-', '--model', $chain[0], '--fallback', "$chain[1],$chain[2]",
    '--concurrency', 64, '--metrics-file', 'metrics.prom', '--quiet', '--audit-log', 'audit.jsonl');
my $stats = sim_get($sim, 'stats');

subtest 'every line has exactly one result, in order' => sub {
    my ($lines, $wrong, %status, %request) = (0, 0);
    open my $fh, '<', 'results' or die $!;
    while (<$fh>) {
        my $result = json($_);
        $lines++;
        $wrong++ if $result->{line} != $lines || $result->{id} != $lines;
        $status{ $result->{status} }++;
        $request{$_}++ for grep { defined } $result->{request_id}, map { $_->{request_id} } grep { $_ } @{ $result->{fallbacks} // [] };
    }
    is($lines, $n, 'as many results as lines');
    is($wrong, 0,  'each at its place');
    is($status{invalid} // 0, 0, 'none was taken for invalid');
    cmp_ok($status{ok}, '>=', $n * 0.999, 'with fallbacks nearly all are answered') or diag(explain(\%status));
    is(scalar(grep { $_ != 1 } values %request), 0, 'each request had an id of its own');
    is($r->{status} == 0, ($status{ok} == $n), 'the exit status says whether all were answered') or diag($r->{status});
};

subtest 'what is counted is what the gateway counted' => sub {
    my $prom  = read_file('metrics.prom');
    my %count = $prom =~ /^moongate_route_requests_total\{job="metrics",(\S+)\} (\d+)$/mg;
    my %falls = $prom =~ /^moongate_route_fallbacks_total\{job="metrics",model="(\S+)"\} (\d+)$/mg;
    for my $i (0 .. 2) {
        my ($model, $sim_count) = ($chain[$i], $stats->{prompts}{models}{ $id{ $chain[$i] } });
        my %of = map { $_ => $count{qq(model="$model",result="$_")} // 0 } qw(hit policy_violation failed);
        is($of{hit},              $sim_count->{hits},       "$model: hits");
        is($of{policy_violation}, $sim_count->{violations}, "$model: policy violations");
        is($of{hit} + $of{policy_violation} + $of{failed}, $sim_count->{requests}, "$model: requests");
        is($falls{$model}, $stats->{prompts}{models}{ $id{ $chain[$i + 1] } }{requests}, "$model: fallbacks") if $i < 2;
    }
    is($stats->{prompts}{models}{ $id{ $chain[0] } }{requests}, $n, 'each prompt went to the first model once');
};

subtest 'nothing is sent twice without its request id' => sub {
    is($stats->{prompts}{without_id}, 0, 'every request had one');
    my ($attempts, $requests, $cuts, $duplicates) = (0, 0, 0, 0);
    for (values %{ $stats->{prompts}{models} }) {
        $attempts += $_->{attempts}; $requests += $_->{requests}; $cuts += $_->{cuts}; $duplicates += $_->{duplicates};
    }
    cmp_ok($attempts, '>', $requests, 'there were tries again');
    cmp_ok($cuts, '>', 0, 'answers were lost');
    cmp_ok($duplicates, '<=', $cuts, 'and what had taken effect came again under its id only');
    is($stats->{routes}{'POST /api/v2/ai/gateway/prompts'}{statuses}{400} // 0, 0, 'no request was bad');
};

subtest 'the audit log has an event for each' => sub {
    my $verify = json(moon('--json', 'audit', 'verify', 'audit.jsonl')->{out});
    is($verify->{lines}, $n + 1, 'as many lines as prompts, and the start');
    ok(!defined $verify->{first_bad}, 'and the chain holds');
};

subtest 'memory does not grow' => sub {
    my ($second, $last) = (tenth($r, 0.1, 0.2), tenth($r, 0.9, 1));
    diag(sprintf '%d prompts in %.1f s; RSS %.1f MiB in the second tenth, %.1f MiB in the last', $n, $r->{seconds}, $second / 1024, $last / 1024);
    diag('MiB by tenth: ' . join ' ', map { sprintf '%.1f', tenth($r, $_ / 10, ($_ + 1) / 10) / 1024 } 0 .. 9);
    plan skip_all => 'too short to tell: make soak does' if $n < 50_000;
    ok($second > 0 && $last > 0, 'both tenths were looked at');
    cmp_ok($last, '<=', $second * 1.1, 'the last tenth is within 10 % of the second');
};
done_testing;
