#!/usr/bin/env perl
# Scripts that mean harm, tests/hostile/*.lua: each ends within its limit, says clearly why, and reads, writes and connects to nothing that
# it may not. A script gets the canary server's URL, a folder that is not its own, and the server's port; "LEAK" in what it prints is one.
# The comments at its top say with which flags it runs, which statuses it may end with, and what it has to say.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Cwd qw(getcwd);
use File::Copy qw(copy);
use File::Path qw(make_path);
use IO::Socket::INET;
use Moon;
use POSIX qw(mkfifo WNOHANG);
use Test::More;
use Time::HiRes qw(time);

my $GRACE = 2.5;    # seconds beyond a script's own limit
my $LIMIT = 10;     # of those that name none: they are over at once
my $canary = 'canary-env-value';

my $server = IO::Socket::INET->new(Listen => 64, LocalAddr => '127.0.0.1', Proto => 'tcp') or BAIL_OUT("no server: $!");
$server->blocking(0);
my $port = $server->sockport;

# $dir/outside is not the scripts'; $dir/work is where they run, with links out of it.
make_path("$dir/outside", "$dir/work/sub", "$dir/work/deep", "$dir/state/moongate", "$dir/.gc");
write_file("$dir/outside/canary",     "canary-file-value\n");
write_file("$dir/outside/canary.lua", "return 'canary-file-value'\n");
chmod 0600, "$dir/outside/canary";
write_file("$dir/.gc/config.toml", "[DEFAULT]\nregion = \"us-east-1\"\n");
write_file("$dir/.pgpass",         "canary-file-value\n");
write_file("$dir/work/moongate.lua", "return {}\n");
symlink '../outside/canary', "$dir/work/link" or die $!;
symlink "$dir/outside",      "$dir/work/dir";
symlink '../../outside/canary', "$dir/work/deep/link";
symlink '/proc/self/environ',   "$dir/work/environ";
symlink '/',                    "$dir/work/root";
symlink "$dir/outside/canary.lua", "$dir/work/link.lua";
mkfifo("$dir/work/fifo", 0600) or die $!;

sub outside {    # what is there, as text
    my $text = '';
    for my $file (sort glob("$dir/outside/* $dir/outside/.* $dir/new $dir/work/moongate.lua $dir/.pgpass $dir/work/inside $dir/work/link")) {
        $text .= "$file " . (-f $file ? read_file($file) : 'folder') . "\n";
    }
    return $text;
}
my $before = outside();

sub asked {      # connections so far
    my $n = 0;
    $n++ while $server->accept;
    return $n;
}

my @scripts = sort glob("$root/tests/hostile/*.lua");
cmp_ok(scalar @scripts, '>=', 30, scalar(@scripts) . ' scripts');
for my $script (@scripts) {
    my ($name) = $script =~ m{([^/]+)\.lua$};
    my $text = read_file($script);
    my ($flags)  = $text =~ /^-- flags: (.*)$/m;
    my ($status) = $text =~ /^-- status: (.*)$/m or BAIL_OUT("$name names no status");
    my ($says)   = $text =~ /^-- says: (.*)$/m   or BAIL_OUT("$name says nothing");
    copy($script, "$dir/work/$name.lua") or die $!;
    my ($limit) = ($flags // '') =~ /--max-time (\d+)s/;
    my $late = ($limit // $LIMIT) + $GRACE;
    my $r;
    for (1 .. 2) {    # on a machine that is busy, one that came late gets another try; one that is not ended fails both
        $r = moon({ dir => "$dir/work", env => { CANARY_SECRET => $canary }, seconds => 40 },
            split(' ', $flags // ''), 'run', "$name.lua", "http://127.0.0.1:$port/", "$dir/outside", $port);
        last if $r->{elapsed} <= $late;
    }
    unlink "$dir/work/$name.lua";
    my $said = $r->{out} . $r->{err};
    my @wrong;
    push @wrong, "status $r->{status}, signal $r->{signal}" unless $r->{signal} == 0 && grep { $_ == $r->{status} } split /\|/, $status;
    push @wrong, sprintf 'took %.1f s', $r->{elapsed} if $r->{elapsed} > $late;
    push @wrong, 'does not say why' if $said !~ /$says/s;
    push @wrong, 'a leak'           if $said =~ /LEAK|canary-file-value|\Q$canary\E/;
    push @wrong, 'connected'        if asked();
    push @wrong, 'changed what is outside' if outside() ne $before;
    push @wrong, 'a traceback of C, or a bug' if $said =~ /moongate: bug|Sanitizer|Assertion/;
    ok(!@wrong, sprintf '%s (%.1f s)', $name, $r->{elapsed}) or diag(join("; ", @wrong) . "\n" . substr($said, 0, 3000));
}

# Ctrl-C ends what no hook reaches: the second one at once, the watchdog two seconds after the first.
for my $times (1, 2) {
    write_file("$dir/work/stuck.lua", 'print "ready" string.find(("a"):rep(100000), ("a*"):rep(20) .. "b")');
    my $p = start({ dir => "$dir/work" }, qr/^(ready)$/m, $moongate, 'run', 'stuck.lua') or next;
    my $start = time;
    kill INT => $p->{pid};
    if ($times == 2) {
        select undef, undef, undef, 0.1;    # two at once would be one
        kill INT => $p->{pid};
    }
    while (waitpid($p->{pid}, WNOHANG) == 0) {
        kill KILL => $p->{pid} if time - $start > 30;    # the test below says so
        select undef, undef, undef, 0.02;
    }
    is($? >> 8, 130, "Ctrl-C in a pattern, $times: 130");
    cmp_ok(time - $start, '<', 2 + $GRACE, 'in time');
    like(read_file($p->{log}), qr/interrupted, and ended by force/, 'and says so') if $times == 1;
}

# Every denial is in the audit log, and the log is whole.
my $log = moon({ dir => "$dir/work" }, 'audit', 'show', '--action', 'permission_denied', '--json');
cmp_ok(scalar @{ json($log->{out}) }, '>', 50, 'denials are audited');
is(moon({ dir => "$dir/work" }, 'audit', 'verify')->{status}, 0, 'the audit log is whole');
done_testing;
