#!/usr/bin/env perl
# Look-ups of names, in a network namespace with a resolver of its own: one look-up for all calls to a name, the second address of a name, a
# name that has moved, a resolver that is slow.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Moon;
use Test::More;

$ENV{PATH} .= ':/usr/sbin:/sbin';
if (!$ENV{MOON_NAMES}) {
    my $try = run('unshare', '-n', '-m', 'ip', 'link', 'set', 'lo', 'up');
    plan skip_all => 'no network namespace may be made here' if $try->{status} != 0;
    my ($self) = grep { -e } "$root/tests/e2e/names.t";
    @ENV{qw(MOON_NAMES MOONGATE)} = (1, $Moon::moongate); # it is in another folder by now
    exec 'unshare', '-n', '-m', $^X, $self or die "unshare: $!";
}

write_file('resolv.conf', "nameserver 127.0.0.1\noptions timeout:5 attempts:1\n");
write_file('hosts', "127.0.0.1 localhost\n");
for my $cmd ([ 'mount', '--bind', "$dir/resolv.conf", '/etc/resolv.conf' ], [ 'mount', '--bind', "$dir/hosts", '/etc/hosts' ], [qw(ip link set lo up)]) {
    my $r = run(@$cmd);
    BAIL_OUT("@$cmd: $r->{err}") if $r->{status} != 0;
}

# ---- the resolver: a table "name milliseconds address ..." that is read anew for each question, and a log of the questions for addresses ----

write_file('dns.pl', <<'PERL');
use strict; use warnings; use IO::Socket::INET; use IO::Select; use Time::HiRes 'time';
my $s = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1:53') or die "no port 53: $!";
my $sel = IO::Select->new($s);
my @later;
$| = 1;
print "ready\n";
while (1) {
    @later = sort { $a->[0] <=> $b->[0] } @later;
    my $wait = @later ? $later[0][0] - time : 1;
    if ($sel->can_read($wait > 0 ? $wait : 0)) {
        my $from = recv $s, my $q, 4096, 0;
        my ($at, @labels) = (12);
        while (my $n = ord substr $q, $at, 1) { push @labels, substr $q, $at + 1, $n; $at += $n + 1 }
        my $type = unpack 'n', substr $q, $at + 1, 2;
        my $name = lc join '.', @labels;
        my ($ms, @ips);
        open my $fh, '<', 'table' or die;
        while (<$fh>) { my ($n, $m, @a) = split; ($ms, @ips) = ($m, @a) if $n eq $name || ($n =~ s/^\*//r ne $n && $name =~ /\Q@{[substr $n, 1]}\E$/) }
        close $fh;
        @ips = () if $type != 1;
        if ($type == 1) { open my $log, '>>', 'asked'; print $log "$name\n"; close $log }
        my $answer = substr($q, 0, 2) . pack('nnnnn', defined $ms ? 0x8180 : 0x8183, 1, scalar @ips, 0, 0) . substr($q, 12, $at - 12 + 5);
        $answer .= pack 'nnnNnC4', 0xc00c, 1, 1, 1, 4, split /\./, $_ for @ips;
        push @later, [ time + ($ms // 0) / 1000, $from, $answer ];
    }
    while (@later && $later[0][0] <= time) { my $l = shift @later; send $s, $l->[2], 0, $l->[1] }
}
PERL
sub table { write_file('table.new', join "\n", @_, ''); rename 'table.new', 'table' or die $!; unlink 'asked' }
sub asked { my ($name) = @_; scalar grep { $_ eq $name } -e 'asked' ? slurp_lines('asked') : () }
table('api.test 50 127.0.0.1');
start(qr/^(ready)/m, $^X, 'dns.pl') or BAIL_OUT('the resolver');

# ---- servers: each answers with its address; and a listener whose queue is full ----

write_file('server.pl', <<'PERL');
use strict; use warnings; use IO::Socket::INET; use IO::Select; use Socket;
my %address; my $sel = IO::Select->new;
for my $a ('127.0.0.1', '127.0.0.5') {
    my $l = IO::Socket::INET->new(Listen => 1024, LocalAddr => "$a:8080", ReuseAddr => 1) or die "$a: $!";
    $address{$l} = $a; $sel->add($l);
}
socket(my $full, PF_INET, SOCK_STREAM, 0); bind $full, pack_sockaddr_in(8080, inet_aton('127.0.0.9')) or die; listen $full, 0;
my @fill;
for (1 .. 4) { socket(my $s, PF_INET, SOCK_STREAM, 0); $s->blocking(0); connect $s, pack_sockaddr_in(8080, inet_aton('127.0.0.9')); push @fill, $s }
$| = 1; print "ready\n";
my %of;
while (my @ready = $sel->can_read) {
    for my $fh (@ready) {
        if ($address{$fh}) { my $c = $fh->accept or next; $of{$c} = $address{$fh}; $sel->add($c); next }
        sysread $fh, my $request, 65536;
        syswrite $fh, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " . length($of{$fh}) . "\r\n\r\n$of{$fh}";
        $sel->remove($fh); delete $of{$fh}; close $fh;
    }
}
PERL
start(qr/^(ready)/m, $^X, 'server.pl') or BAIL_OUT('the servers');

sub script { my ($code, @args) = @_; write_file('s.lua', "local http, task, time = require 'moongate.http', require 'moongate.task', require 'moongate.time'\n$code"); moon('--allow-all', 'run', 's.lua', @args) }
my $burst = <<'LUA';
local pattern, count = ...
local failed, tasks = {}, {}
count = math.tointeger(tonumber(count))
for i = 1, count do
  tasks[i] = task.spawn(function()
    local r, err = http.get(("http://" .. pattern .. ":8080/"):gsub("N", tostring(i)), { deadline = 25 })
    if not r then failed[#failed + 1] = err.message end
  end)
end
for i = 1, count do tasks[i]:join() end
print(#failed, failed[1] or "")
LUA

my $r = script($burst, 'api.test', 1000);
like($r->{out}, qr/^0\t/, 'a thousand calls at once to a name that is not known') or diag($r->{out} . $r->{err});
is(asked('api.test'), 1, 'share one look-up');

table('*.many.test 20 127.0.0.1');
$r = script($burst, 'nN.many.test', 200);
like($r->{out}, qr/^0\t/, 'calls to two hundred names') or diag($r->{out} . $r->{err});

table('two.test 0 127.0.0.9 127.0.0.5');
$r = script('local r, err = http.get("http://two.test:8080/", { deadline = 8 }) print(r and r.body or err.message)');
is($r->{out}, "127.0.0.5\n", 'the second address, when the first drops packets, within a deadline of 8 s');

table('moved.test 0 127.0.0.7');
write_file('moved', "moved.test 0 127.0.0.5\n");
$r = script(<<'LUA');
local fs = require "moongate.fs"
assert(not http.get("http://moved.test:8080/", { deadline = 1 }))
fs.write("table", assert(fs.read("moved")))
task.sleep(1.1)
local r, err = http.get("http://moved.test:8080/", { deadline = 10 })
print(r and r.body or err.message)
LUA
is($r->{out}, "127.0.0.5\n", 'a name that has moved is looked up again when its connect fails') or diag($r->{err});

table('slow.test 4000 127.0.0.1', 'api.test 0 127.0.0.1', 'gone.test 4000');
$r = script(<<'LUA');
local slow = task.spawn(function() return (http.get("http://slow.test:8080/", { deadline = 9 })) end)
task.sleep(0.1)
local started = time.monotonic()
assert(http.get "http://api.test:8080/")
print(time.monotonic() - started < 2 and "soon" or "late", slow:join() and "came" or "failed")
LUA
like($r->{out}, qr/^soon\s+came/, 'a slow look-up holds up no other') or diag($r->{out} . $r->{err});
done_testing;
