#!/usr/bin/env perl
# The audit log from outside: its chain checked by another program, processes killed while they write, damage, a full disk.
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use FindBin;
use lib "$FindBin::Bin/lib";
use Moon;
use Test::More;
use Time::HiRes qw(sleep);

my $log = "$dir/audit.jsonl";

# The number of good lines, from the description in audit_log.h alone; and how many torn lines were set aside.
sub check_chain {
    my ($prev, $n, $aside) = ('0' x 64, 0, 0);
    for my $line (split /(?<=\n)/, read_file($log)) {
        last unless $line =~ s/\n\z//;
        $line =~ s/"hash":"([0-9a-f]{64})",// or return (-1, 0);
        my $hash = $1;
        my ($before, $seq) = $line =~ /"prev":"([0-9a-f]{64})","seq":([0-9]+),/ or return (-1, 0);
        return (-1, 0) if $before ne $prev || $seq != ++$n || $hash ne sha256_hex($line);
        $prev = $hash;
        $aside++ if $line =~ /"action":"torn_line_set_aside"/;
    }
    return ($n, $aside);
}

write_file('write.lua', <<'LUA');
local audit, task = require "moongate.audit", require "moongate.task"
local list = {}
for i = 1, 100 do list[i] = i end
for round = 1, tonumber(... or 1) do
  assert(task.map(list, 100, function(i)
    local entry = assert(audit.intent { action = "write", n = i, text = ("x"):rep(300) })
    assert(entry:outcome { status = "ok" })
  end))
  if round == 1 then require("moongate.log").error("at work") end
end
LUA

subtest 'killed at any moment' => sub {
    my $lines = 0;
    for my $round (1 .. 6) {
        my @p = map { start({}, qr/(at work)/, $moongate, '--audit-log', $log, 'run', 'write.lua', 100000) } 1, 2;
        sleep 0.004 * $round;
        kill KILL => $_->{pid} for @p;
        waitpid $_->{pid}, 0 for @p;
        my $r = moon('--audit-log', $log, '--json', 'audit', 'verify');
        ok($r->{status} == 0 || ($r->{status} == 8 && json($r->{out})->{torn}), "round $round: whole, or torn and said so") or diag(explain $r);
        my ($n) = check_chain();
        ok($n > $lines, "$n lines hold, by another program too");
        $lines = $n;
    }
    my $r = moon('--audit-log', $log, 'run', 'write.lua', 1);
    is($r->{status}, 0, 'and it goes on');
    is(moon('--audit-log', $log, 'audit', 'verify')->{status}, 0);
    my ($n, $aside) = check_chain();
    is($aside, scalar(() = glob "$log.torn-*"), "$aside torn lines set aside, each recorded");
};

subtest 'a torn line' => sub {
    my ($before) = check_chain();
    open my $fh, '>>:raw', $log or die;
    print $fh '{"action":"wri';
    close $fh;
    my $r = moon('--audit-log', $log, 'audit', 'verify');
    is($r->{status}, 8);
    like($r->{err}, qr/torn/);
    is(moon('--audit-log', $log, 'run', 'write.lua', 1)->{status}, 0);
    my ($n, $aside) = check_chain();
    is($n, $before + 201);
    my ($side) = sort { -M $a <=> -M $b } glob "$log.torn-*";
    is(read_file($side), '{"action":"wri', 'its bytes are kept');
};

subtest 'a changed line' => sub {
    my $text = read_file($log);
    my $line = 100;
    my @lines = split /(?<=\n)/, $text;
    $lines[$line - 1] =~ s/"time":"2/"time":"3/ or die;
    my $forged = join '', @lines;
    write_file($log, $forged);
    my $r = moon('--audit-log', $log, 'audit', 'verify');
    is($r->{status}, 8);
    like($r->{err}, qr/:$line: .*hash/, 'the line is named');
    $r = moon('--audit-log', $log, 'run', 'write.lua', 1);
    isnt($r->{status}, 0, 'nothing is appended');
    like($r->{err}, qr/damaged: line $line\b/);
    ok(read_file($log) eq $forged);
    write_file($log, $text);
};

subtest 'a full disk' => sub {
    my $blocks = int((-s $log) / 512) + 3; # sh counts in 512 bytes
    my $r = run('/bin/sh', '-c', "ulimit -f $blocks; exec \"\$@\"", 'sh', $moongate, '--audit-log', $log, 'run', 'write.lua', 100);
    is($r->{signal}, 0, 'is no death');
    isnt($r->{status}, 0);
    like($r->{err}, qr/can't write the audit log/);
    is(moon('--audit-log', $log, 'audit', 'verify')->{status}, 0, 'and no half line stays');
    my ($n) = check_chain();
    cmp_ok($n, '>', 0);
};

done_testing;
