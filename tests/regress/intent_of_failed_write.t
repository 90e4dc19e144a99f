#!/usr/bin/env perl
# A write whose intent reached the audit log, but was not synced to the disk, is not sent, and fails. When its run is taken up again, that
# intent gets its outcome, and a new one stands for what is sent then.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../e2e/lib";
use Moon;
use Test::More;

my $strace = (grep { -x } map { "$_/strace" } split /:/, $ENV{PATH})[0] or plan skip_all => 'no strace here (Debian\'s package strace)';
plan skip_all => 'strace may not trace here' if run('strace', '-f', '-qq', '-o', '/dev/null', '-e', 'inject=getppid:signal=KILL', 'true')->{status} != 0;

my $sim   = start_sim();
my %env   = %{ $sim->{env} };
my @words = ('--state', "$dir/s", '--json', '--run-id', 'r', 'deploy-index', index_file('orders'));
my $r = run({ env => { %env, UV_THREADPOOL_SIZE => 1 } }, 'strace', '-f', '-qq', '-o', 'trace', '-e', 'trace=fdatasync', '-P', "$dir/s/audit.jsonl",
    '-e', 'inject=fdatasync:error=EIO:when=1', $moongate, @words);
is($r->{status}, 1, 'a disk that fails under the audit log') or diag($r->{err});
ok(!(grep { /^PUT/ } keys %{ sim_get($sim, 'stats')->{routes} }), 'nothing is sent');
$r = moon({ env => \%env }, @words);
is($r->{status}, 0, 'taken up again it goes on') or diag($r->{err});
$r = moon('--state', "$dir/s", 'audit', 'verify');
is($r->{status}, 0, 'the audit log verifies') or diag($r->{out}, $r->{err});
unlike($r->{out}, qr/without an outcome/, 'and each of its intents has an outcome');
done_testing;
