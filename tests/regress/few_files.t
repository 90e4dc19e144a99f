#!/usr/bin/env perl
# Few descriptors (ulimit -n): fewer calls in parallel, with a word, and nothing fails; an audit log that can't be written
# is found out before anything is sent.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../e2e/lib";
use Moon;
use Test::More;

my $sim   = start_sim('--rate-limit', 1_000_000);
my @files = map { index_file("few-$_") } 1 .. 30;
write_file("$dir/prompts.jsonl", join '', map { qq("Question $_"\n) } 1 .. 120);

sub limited { my ($limit, @words) = @_; run({ env => $sim->{env} }, 'sh', '-c', "$limit; exec \"\$\@\"", 'sh', $moongate, @words) }
sub prompts { my $m = sim_get($sim, 'stats')->{prompts}{models} // {}; my $n = 0; $n += $_->{attempts} for values %$m; $n }

for my $n (20, 64) {
    my @state = ('--state', "$dir/state-$n");
    my $r = limited("ulimit -n $n", @state, 'route-prompts', '--model', 'sim-small', '-c', 100, "$dir/prompts.jsonl");
    is($r->{status}, 0, "$n open files: prompts") or diag($r->{err});
    is(scalar(grep { /"status":"ok"/ } split /\n/, $r->{out}), 120, 'each has its answer');
    like($r->{err}, qr/limit of open files \(ulimit -n\) leaves room for \d+ connections?: fewer calls run in parallel/, 'with a word');
    $r = limited("ulimit -n $n", @state, 'deploy-index', '--concurrency', 64, @files);
    is($r->{status}, 0, 'and indexes') or diag($r->{err});
}

my $before = prompts();
my $r = limited("ulimit -n 16", '--state', "$dir/none", 'route-prompts', '--model', 'sim-small', "$dir/prompts.jsonl");
isnt($r->{status}, 0, 'too few for the audit log');
is(prompts(), $before, 'no prompt was sent');

write_file("$dir/audit.jsonl", "\n\n");
$r = limited('true', '--audit-log', "$dir/audit.jsonl", 'route-prompts', '--model', 'sim-small', '-c', 50, "$dir/prompts.jsonl");
isnt($r->{status}, 0, 'a damaged audit log');
like($r->{err}, qr/no prompt was sent, because it can't be audited/, 'says so');
is(prompts(), $before, 'and nothing was sent');

$r = limited('ulimit -f 4', '--state', "$dir/limited", 'route-prompts', '--model', 'sim-small', '-c', 5, "$dir/prompts.jsonl");
isnt($r->{status}, 0, 'an audit log that can not grow');
my $sent = prompts() - $before;
is(scalar(grep { /"status":"ok"/ } split /\n/, $r->{out}), $sent, "what was answered ($sent) is printed");
cmp_ok($sent, '<', 120, 'and no more is sent');

done_testing;
