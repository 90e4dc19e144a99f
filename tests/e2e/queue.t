#!/usr/bin/env perl
# A gateway that is away: other processes know it, writes wait for it and are sent when it is back.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Moon;
use Test::More;

my $sim   = start_sim('--rate-limit', 1_000_000);
my @files = map { index_file("queued-$_") } 1 .. 3;
my @state = ('--state', "$dir/queue-state");
sub gateway { moon({ env => $sim->{env} }, @state, @_) }
sub api_calls { my $r = sim_get($sim, 'stats')->{routes}; my $n = 0; $n += $r->{$_}{count} for grep { m{ /api/} } keys %$r; $n }
sub down { sim_post($sim, 'faults', 'status=503,path=/indexes/*') }
sub up { HTTP::Tiny->new(timeout => 10)->request(DELETE => "$sim->{url}/__sim/faults") }

is(gateway('deploy-index', $files[0])->{status}, 0, 'an index is there');

subtest 'a second process knows that the gateway is down' => sub {
    down();
    my $r;
    for (1 .. 2) {    # the second finds the breaker open and waits for it, and each probe that fails keeps it open for longer
        $r = gateway('--deadline', '4s', 'deploy-index', '--concurrency', 1, @files);
        is($r->{status}, 6, 'one finds out');
    }
    my $before = api_calls();
    $r = gateway('--json', '--deadline', '1s', 'deploy-index', $files[1]);
    is($r->{status}, 6, 'the next one has no time to wait');
    like($r->{err}, qr/is unavailable: the circuit breaker is open for another [\d.]+ s, past the 1 s deadline/, 'and says what for');
    is(api_calls(), $before, 'without a request');
    cmp_ok($r->{elapsed}, '<', 3, 'at once');
};

subtest 'writes wait' => sub {
    index_file('queued-1', dimensions => 1024);
    my $before = api_calls();
    my $r = gateway('--queue', '--json', 'deploy-index', @files[0, 1]);
    is($r->{status}, 9, 'exit status 9') or diag($r->{err});
    my $doc = json($r->{out});
    is_deeply([ map { $_->{status} } @{ $doc->{results} } ], [ 'queued', 'queued' ], 'both are queued');
    is_deeply([ map { $_->{path} } @{ $doc->{results}[0]{changes} } ], [ $doc->{results}[0]{changes}[0]{path} ], 'one member of the first changes, against what another process read');
    like($r->{err}, qr/queue flush/, 'it says how they are sent');
    is(api_calls(), $before, 'nothing was asked of the gateway');
    $r = gateway('queue', 'list');
    like($r->{out}, qr{^1  queued  PUT /api/v2/ai/vectorstores/store-1/indexes/queued-1  queued 2}m, 'the list shows them');
    like(gateway('queue', 'show', 1)->{out}, qr/~ dimensions: 768 -> 1024/, 'and what they were to change');
    index_file('queued-1', dimensions => 512);
    $r = gateway('--queue', 'deploy-index', $files[0]);
    is($r->{status}, 9, 'a newer one waits, too');
    like($r->{out}, qr/queued-1: queued  as 3/, 'in its own name');
    like(gateway('queue', 'list', '--all')->{out}, qr/^1  dropped .*replaced by a newer one$/m, 'and the older one does not any more');
};

subtest 'the queue is not sent while the gateway is away' => sub {
    my $r = gateway('queue', 'flush');
    is($r->{status}, 6, 'exit status 6') or diag($r->{out}, $r->{err});
    is(scalar(@{ json(gateway('--json', 'queue', 'list')->{out})->{writes} }), 2, 'both still wait');
};

subtest 'it is sent when the gateway is back' => sub {
    up();
    my $end = time + 90;
    my $r;
    do { $r = gateway('--dry-run', 'queue', 'flush'); select undef, undef, undef, 0.2 if $r->{status} } until $r->{status} == 0 || time > $end;    # until a probe may go
    is($r->{status}, 0, 'a dry run') or diag($r->{out}, $r->{err});
    like($r->{out}, qr/~ dimensions: 768 -> 512/, 'shows what will change');
    is(scalar(@{ json(gateway('--json', 'queue', 'list')->{out})->{writes} }), 2, 'and sends nothing');
    $r = gateway('--json', 'queue', 'flush');
    is($r->{status}, 0, 'the flush') or diag($r->{out}, $r->{err});
    is_deeply([ map { "$_->{id} $_->{status}" } @{ json($r->{out})->{results} } ], [ '2 created', '3 updated' ], 'sends both');
    is(gateway('queue', 'list')->{out}, "nothing is queued\n", 'nothing waits any more');
    is(gateway('queue', 'flush')->{out}, "nothing is queued for this gateway\n", 'nor is anything sent twice');
    my @audit = @{ json(gateway('--json', 'audit', 'show', '--action', 'write_queued', '--action', 'write_flushed')->{out}) };
    is_deeply([ map { "$_->{action} $_->{queue_id}" } @audit ], [ 'write_queued 1', 'write_queued 2', 'write_queued 3', 'write_flushed 2', 'write_flushed 3' ], 'the audit log knows it all');
    is(gateway('audit', 'verify')->{status}, 0, 'and verifies');
};

subtest 'one group for all that waits' => sub {
    down();
    index_file('queued-1', dimensions => 256);
    is(gateway('--queue', 'deploy-index', $files[0])->{status}, 9, 'a write waits');
    write_file('few.jsonl', qq({"id":1,"prompt":"A question?"}\n{"id":2,"prompt":"Another one?"}\n));
    is(gateway('route-prompts', 'few.jsonl', '--model', 'sim-small', '--enqueue', '--queue-name', 'night')->{status}, 0, 'prompts wait');
    my $list = gateway('queue', 'list')->{out};
    like($list, qr/^night: 2 queued$/m, 'the list has the prompts');
    like($list, qr/^4  queued  PUT /m, 'and the write');
    my $doc = json(gateway('--json', 'queue', 'list')->{out});
    is_deeply([ map { scalar @{ $doc->{$_} } } qw(messages queues writes) ], [ 0, 1, 1 ], 'and --json all kinds');
    unlike(gateway('queue', 'list', '--kind', 'write')->{out}, qr/night/, 'or one of them');
    is(gateway('queue', 'list', '--kind', 'message')->{out}, "nothing is queued\n", 'of which there is none');
    like(gateway('queue', 'show', 'night')->{out}, qr/^night: 2 queued$/m, 'the name of a queue shows that');
    like(gateway('queue', 'show', 4)->{out}, qr/dimensions: .*256/, 'a number shows a write');
    is(gateway('queue', 'drop', 4, 'night')->{status}, 2, 'one kind at a time');
    is(gateway('queue', 'retry', 4)->{status}, 2, 'a write has no schedule');
    is(gateway('queue', 'set', 'night', '--attempts', 3)->{out}, "night: at most 8 in parallel, 3 tries\n", 'the limits of a queue');
    is(gateway('work', 'status', 'night')->{out}, gateway('queue', 'list', '--kind', 'prompt')->{out}, 'work is another name');
    is(gateway('queue', 'set', 'writes', '--attempts', 3)->{status}, 5, 'the queue of writes is not one of prompts');
    up();
    my $r = gateway('--json', 'queue', 'work', '--queue-name', 'night', '--drain');
    is($r->{status}, 0, 'a worker') or diag($r->{err});
    is(scalar(split /\n/, gateway('queue', 'results', 'night')->{out}), 2, 'sends them');
    is(gateway('queue', 'drop', 'night', '--all')->{out}, "night: 2 prompts dropped\n", 'prompts are dropped by the queue');
    is(gateway('queue', 'drop', 4)->{status}, 0, 'a write by its number');
    is(gateway('queue', 'list')->{out}, "nothing is queued\n", 'and nothing is left');
    is(gateway('queue', 'drop', 'nothing', '--all')->{status}, 3, 'no such queue');
};

subtest 'dropping' => sub {
    is(gateway('queue', 'drop', 99)->{status}, 3, 'there is no 99');
    is(gateway('queue', 'drop', 'x')->{status}, 3, 'nor is x an id');
    is(gateway('queue', 'drop', '--kind', 'write', 'x')->{status}, 2, 'nor the number of a write');
    is(gateway('queue', 'show', 99)->{status}, 3, 'nothing to show');
};

done_testing;
