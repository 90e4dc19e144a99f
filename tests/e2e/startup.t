#!/usr/bin/env perl
# What the start of the program costs is counted, not timed (`make bench` has the time): moongate -e '' opens few files, and nothing that
# only a request, a write or a run needs.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Moon;
use Test::More;
plan skip_all => 'strace is not installed' if system('strace -V >/dev/null 2>&1') != 0;

my $r = run('strace', '-f', '-o', 'trace', '-e', 'trace=openat,socket,execve,clone,clone3', $moongate, '-e', '');
is($r->{status}, 0, 'it runs') or diag($r->{err});
my @calls  = slurp_lines('trace');
my @opened = map { /openat\([^"]*"([^"]+)".*\) = \d+$/ ? $1 : () } @calls;
my @own    = grep { !m{^/(proc|sys|etc/ld)|\.so(\.\d+)*$} } @opened;
cmp_ok(scalar @own, '<=', 20, 'few files are opened besides libraries') or diag(join "\n", @own);
ok(!(grep { m{/certs?/|openssl\.cnf$|state\.db|audit\.jsonl} } @opened), 'no certificates, no state, no audit log') or diag(join "\n", @opened);
is(scalar(grep { /socket\((?!AF_UNIX)/ } @calls), 0, 'no socket is made but to the name service of users');
is(scalar(grep { /execve\(.*\) = 0$/ } @calls), 1, 'no other program is started');
done_testing;
