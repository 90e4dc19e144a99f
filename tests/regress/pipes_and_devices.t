#!/usr/bin/env perl
# An output path that is not a regular file stays what it is, and inputs can come from a pipe or standard input.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../e2e/lib";
use Moon;
use POSIX qw(mkfifo);
use Test::More;

my $index = index_file('parcels');
mkdir 'dev';
symlink '/proc/self/fd/1', 'dev/out';
mkfifo('dev/pipe', 0600) or die $!;

my $r = moon('-q', '--sim', '--metrics-file', 'dev/out', 'deploy-index', $index);
is($r->{status}, 0, 'metrics into a link to standard output');
like($r->{out}, qr/^moongate_run_exit_status/m, 'they are there');
ok(-l 'dev/out', 'and the link is still one');

my $reader = start(qr/\A()/, 'sh', '-c', 'exec cat dev/pipe');
$r = moon('-q', '--sim', '--metrics-file', 'dev/pipe', 'deploy-index', $index);
is($r->{status}, 0, 'metrics into a named pipe');
waitpid $reader->{pid}, 0;
like(read_file($reader->{log}), qr/^moongate_run_exit_status/m, 'its reader has them');
ok(-p 'dev/pipe', 'and the pipe is still one');
$r = moon('-q', '--sim', '--metrics-file', '/dev/full', 'deploy-index', $index);
is($r->{status}, 1, 'a device that is full: exit 1');
like($r->{err}, qr{/dev/full: No space left on device}, 'and the reason');

$r = run('sh', '-c', '"$0" -q --sim --metrics-file seen deploy-index "$1" >seen 2>&1', $moongate, $index);
my $seen = read_file('seen');
like($seen, qr/moongate_run_exit_status/, 'a file that standard output goes to gets both');
like($seen, qr/parcels: created/, 'the result too');

my $json = read_file($index);
for my $way (['-'], ['/dev/stdin']) {
    $r = moon({ stdin => "\xef\xbb\xbf" . $json =~ s/,/,\r\n/gr }, '-q', '--sim', 'deploy-index', @$way);
    is($r->{status}, 0, "deploy-index @$way, with a byte order mark and CR LF");
}
$r = run('bash', '-c', '"$0" -q --sim deploy-index <(cat "$1")', $moongate, $index);
is($r->{status}, 0, 'deploy-index <(...)');
$r = moon({ stdin => "\xff\xfe" . $json =~ s/(.)/$1\0/gr }, '-q', '--sim', 'deploy-index', '-');
is($r->{status}, 3, 'UTF-16: exit 3');
like($r->{err}, qr/UTF-16/, 'and named');
$r = moon({ stdin => "return (...) .. 2" }, 'run', '-', '4');
is($r->{out}, "42\n", 'run -: a script from standard input');
$r = moon({ stdin => "return nil .. 2" }, 'run', '-');
like($r->{err}, qr/stdin:1: attempt/, 'its mistakes have a place');
$r = moon({ stdin => "\xef\xbb\xbfreturn { limits = { dimensions = 7 } }\r\n" }, '--config', '-', '--sim', 'deploy-index', $index);
like($r->{err}, qr/dimensions: must be at most 7/, '--config -: a project file from standard input');
for my $log ('/dev/zero', 'dev/pipe') {
    $r = run('timeout', '30', $moongate, '--sim', '--audit-log', $log, 'deploy-index', $index);
    is($r->{status}, 3, "an audit log that is $log is refused, not waited for");
    like($r->{err}, qr/\Q$log\E is not a regular file/, 'and named');
}
done_testing;
