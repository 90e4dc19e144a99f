#!/usr/bin/env perl
# What the audit log has acknowledged is there: after a kill at any moment, and with several processes on one file. The log is checked by a
# reader that follows its published form only.
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use FindBin;
use lib "$FindBin::Bin/lib";
use Moon;
use Test::More;

# The good lines from the first, and what is wrong with the one after them.
sub chain {
    my ($path) = @_;
    my ($n, $prev) = (0, '0' x 64);
    my $text = read_file($path);
    while ($text =~ /\G([^\n]*)(\n?)/g) {
        my ($line, $end) = ($1, $2);
        last if $line eq '' && $end eq '';
        return ($n, 'no line end') if $end eq '';
        my ($seq, $before, $hash) = map { $line =~ /[{,]"$_":"?(\w+)/ } qw(seq prev hash);
        return ($n, 'no JSON') unless $line =~ /^\{.*\}$/ && defined $hash;
        return ($n, 'seq')  if $seq != $n + 1;
        return ($n, 'prev') if $before ne $prev;
        (my $bare = $line) =~ s/,"hash":"[0-9a-f]{64}"|"hash":"[0-9a-f]{64}",//;
        return ($n, 'hash') if sha256_hex($bare) ne $hash;
        $prev = $hash;
        $n++;
    }
    return ($n, '');
}

write_file('events.lua', <<'LUA');
local audit, task = require "moongate.audit", require "moongate.task"
local many = tonumber(arg and arg[1] or (...))
local list = {}
for i = 1, many do list[i] = i end
assert(task.map(list, 20, function(i)
  local entry = assert(audit.intent { action = "try", index = i })
  assert(entry:outcome { outcome = "done", index = i })
  print(i)
end))
LUA

my $log = "$dir/audit.log";
my $whole = moon('--audit-log', $log, 'run', 'events.lua', 50);
is($whole->{status}, 0, 'fifty intents and outcomes') or diag($whole->{err});
is_deeply([chain($log)], [100, ''], 'the log is as its published form says');
is(moon('audit', 'verify', $log)->{status}, 0, 'and audit verify agrees');

subtest 'killed at any moment' => sub {
    my ($killed, $acknowledged) = (0, 0);
    for my $round (1 .. 15) {
        my $before = (chain($log))[0];
        my $p = Moon::spawn({}, $moongate, '--audit-log', $log, 'run', 'events.lua', 20_000);
        my $lines = 0;
        while ($lines < 3 * $round && defined(readline $p->{out})) { $lines++ }
        kill KILL => $p->{pid};
        $lines++ while defined(readline $p->{out});
        waitpid $p->{pid}, 0;
        $killed++ if ($? & 127) == 9;
        my ($good, $fault) = chain($log);
        cmp_ok($good, '>=', $before + 2 * $lines, "round $round: all that was acknowledged is there");
        like($fault, qr/^(no line end|no JSON)?$/, "round $round: nothing is wrong but the end, if that");
        my $v = moon('audit', 'verify', $log);
        is($v->{status}, $fault eq '' ? 0 : 8, "round $round: audit verify says so") or diag("$v->{out}$v->{err}");
        my $next = moon('--audit-log', $log, 'run', 'events.lua', 1);
        is($next->{status}, 0, "round $round: the next run goes on") or diag($next->{err});
        is((chain($log))[1], '', "round $round: on a whole log");
    }
    is($killed, 15, 'each was killed at work');
};

subtest 'several processes' => sub {
    my $shared = "$dir/shared.log";
    my @p = map { Moon::spawn({}, $moongate, '--audit-log', $shared, 'run', 'events.lua', 200) } 1 .. 4;
    for my $p (@p) { 1 while readline $p->{out}; my $err = join '', readline $p->{err}; waitpid $p->{pid}, 0; is($?, 0, 'ended well') or diag($err) }
    is_deeply([chain($shared)], [1600, ''], 'one chain of all their lines');
};

done_testing;
