#!/usr/bin/env perl
# deploy-index from outside: what was sent is what was recorded, whatever ends the program, and what can't be recorded is not sent.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Moon;
use Test::More;

my $sim = start_sim('--rate-limit', 1_000_000, '--fault', 'late=30,method=PUT');    # so that a kill falls into writes under way
my @files = map { index_file(sprintf 'index-%03d', $_) } 1 .. 60;
sub puts { grep { $_->{method} eq 'PUT' } @{ sim_get($sim, 'stats')->{last} } }
sub audit_lines { -e $_[0] ? map { eval { json($_) } // () } slurp_lines($_[0]) : () }

subtest 'killed at any moment' => sub {
    my $cut = 0;
    for my $round (1 .. 8) {
        sim_post($sim, 'reset');
        my $log = "$dir/killed-$round.jsonl";
        my $p = Moon::spawn({ env => $sim->{env} }, $moongate, '--audit-log', $log, 'deploy-index', '--concurrency', 8, @files);
        my $end = time + 30;
        until (puts() >= 6 * $round || time > $end) { }    # each look is a request: no spinning
        kill KILL => $p->{pid};
        waitpid $p->{pid}, 0;
        $cut++ if ($? & 127) == 9;
        my %intent = map { $_->{path} // '' => 1 } grep { $_->{phase} eq 'intent' } audit_lines($log);
        my @sent = puts();
        my @unrecorded = grep { !$intent{ $_->{path} } } @sent;
        is(scalar @unrecorded, 0, "round $round: each of " . @sent . ' writes was recorded first') or diag(map { "$_->{path}\n" } @unrecorded);
        my $v = moon('audit', 'verify', $log);
        ok($v->{status} == 0 || "$v->{out}$v->{err}" =~ /torn/, "round $round: the log verifies, or says what was torn") or diag("$v->{out}$v->{err}");
        my $again = moon({ env => $sim->{env} }, '--audit-log', $log, '--json', 'deploy-index', @files);
        is($again->{status}, 0, "round $round: the next run finishes the job") or diag($again->{err});
        is(json($again->{out})->{summary}{total}, 60, "round $round: all of it");
        is(moon('audit', 'verify', $log)->{status}, 0, "round $round: on a log that verifies");
    }
    cmp_ok($cut, '>=', 4, "$cut of 8 were killed at work");
};

subtest 'what can not be audited is not sent' => sub {
    sim_post($sim, 'reset');
    write_file('no-folder', '');
    my $r = moon({ env => $sim->{env} }, '--audit-log', "$dir/no-folder/audit.jsonl", 'deploy-index', @files[0 .. 2]);
    isnt($r->{status}, 0, 'the run fails');
    like($r->{err}, qr/audit/, 'and says why');
    is(scalar puts(), 0, 'nothing was sent');
};

subtest 'a disk that fills up' => sub {
    plan skip_all => 'no prlimit' if system('prlimit --version >/dev/null 2>&1') != 0;
    sim_post($sim, 'reset');
    my $log = "$dir/full.jsonl";
    my $r = run({ env => $sim->{env} }, 'prlimit', '--fsize=30000', $moongate, '--state', 'sqlite::memory:', '--audit-log', $log, 'deploy-index',
        @files);    # the limit is on every file: the store has none
    isnt($r->{status}, 0, 'the run fails');
    is($r->{signal}, 0, 'by its own word');
    my @lines = audit_lines($log);
    my %intent = map { $_->{path} // '' => 1 } grep { $_->{phase} eq 'intent' } @lines;
    my @sent = puts();
    cmp_ok(scalar @sent, '<', 60, 'not all was sent');
    is(scalar(grep { !$intent{ $_->{path} } } @sent), 0, 'what was sent (' . @sent . ') was recorded');
    is(moon('audit', 'verify', $log)->{status}, 0, 'the log verifies');
    is(moon({ env => $sim->{env} }, '--audit-log', $log, 'deploy-index', @files)->{status}, 0, 'with room again the job is finished');
};
done_testing;
