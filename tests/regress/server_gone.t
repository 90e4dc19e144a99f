#!/usr/bin/env perl
# A server that is gone for good is waited for once, half a minute, and not once more for each thing that is to be kept.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../e2e/lib";

BEGIN {    # the whole test again, inside of a server
    if (!$ENV{PG_PRIVATE}) {
        my $status = system "$FindBin::Bin/../lib/postgres", $^X, $0, @ARGV;
        print "1..0 # SKIP no PostgreSQL here (Debian's package postgresql)\n" if $status >> 8 == 77;
        exit($status >> 8 == 77 ? 0 : $status ? 1 : 0);
    }
}
use Moon;
use Test::More;
use Time::HiRes qw(sleep time);

my $sim = start_sim('--rate-limit', 0);
my %env = (%{ $sim->{env} }, MOONGATE_STATE => 'postgres:///postgres');
sim_post($sim, 'faults', 'late=1000,method=PUT');
my $p = Moon::spawn({ env => \%env }, $moongate, '--run-id', 'r', 'deploy-index', '--concurrency', 1, map { index_file("gone-$_") } 1 .. 3);
my $end = time + 20;
until (time > $end || grep { /^PUT/ } keys %{ sim_get($sim, 'stats')->{routes} }) { sleep 0.01 }
is(system("$FindBin::Bin/../lib/postgres", '--stop', 'immediate'), 0, 'the server is gone in the middle of a write');
my $since = time;
close $p->{in};
my $err = do { local $/; readline $p->{out}; readline $p->{err} };
waitpid $p->{pid}, 0;
is($? >> 8, 1, 'the run fails');
like($err, qr/run r can't be journalled: state \S+ can't be reached/, 'and says why');
cmp_ok(time - $since, '<', 45, 'after half a minute');
is(system("$FindBin::Bin/../lib/postgres", '--start'), 0, 'the server is there again');
my $r = moon({ env => \%env }, '--json', 'runs', 'resume', 'r');
is($r->{status}, 0, 'the run goes on') or diag($r->{err});
is(scalar(grep { $_->{status} =~ /^(created|reconciled)$/ } @{ json($r->{out})->{results} }), 3, 'and all is there') or diag($r->{out});
done_testing;
