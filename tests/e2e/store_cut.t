#!/usr/bin/env perl
# PostgreSQL that goes away: connections cut before, at and after a COMMIT by a proxy, and the server restarted under way. Everything that was
# told to be durable is there once, and nothing was told to have failed.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

BEGIN {    # the whole test again, inside of a server
    if (!$ENV{PG_PRIVATE}) {
        my $status = system "$FindBin::Bin/../lib/postgres", $^X, $0, @ARGV;
        print "1..0 # SKIP no PostgreSQL here (Debian's package postgresql)\n" if $status >> 8 == 77;
        exit($status >> 8 == 77 ? 0 : $status ? 1 : 0);
    }
}
use IO::Select;
use IO::Socket::UNIX;
use Moon;
use POSIX qw(_exit);
use Test::More;

my $server = "$ENV{PG_PRIVATE}/.s.PGSQL.5432";

# One connection, cut at its COMMIT in one of three ways; each way in turn, two COMMITs pass between two cuts.
#   0: the COMMIT never arrives; 1: it arrives, and we are gone at once; 2: it is answered, and the answer is lost
sub serve {
    my ($client, $connection) = @_;
    my $backend = IO::Socket::UNIX->new(Peer => $server) or _exit(0);
    open my $log, '>>', "$dir/cuts" or _exit(1);
    my $select = IO::Select->new($client, $backend);
    my ($commits, $cutting) = (0, 0);
    while (my @ready = $select->can_read(60)) {
        for my $from (@ready) {
            sysread($from, my $data, 65536) or _exit(0);
            if ($from == $backend) {
                _exit(0) if $cutting;
                syswrite $client, $data;
            } else {
                my $cut = $data =~ /COMMIT\0/ && ++$commits > 1 + $connection % 3;
                syswrite $log, $connection % 3 if $cut;
                _exit(0) if $cut && $connection % 3 == 0;
                syswrite $backend, $data;
                _exit(0) if $cut && $connection % 3 == 1;
                $cutting ||= $cut;
            }
        }
    }
    _exit(0);
}

sub start_proxy {
    mkdir "$dir/proxy";
    my $listener = IO::Socket::UNIX->new(Local => "$dir/proxy/.s.PGSQL.5432", Listen => 50) or die "proxy: $!";
    my $pid = fork;
    return $pid if $pid;
    local $SIG{CHLD} = 'IGNORE';
    for (my $n = 0; my $client = $listener->accept; $n++) {
        if (!fork) { close $listener; serve($client, $n) }
        close $client;
    }
    _exit(0);
}

sub work {
    my ($what, $env, $database) = @_;
    is(run('createdb', $database)->{status}, 0, "a database for $what");
    my $r = run({ env => $env, seconds => 120, dir => $root }, $moongate, 'test', "$FindBin::Bin/store_cut.lua");
    is($r->{status}, 0, $what) or diag($r->{out}, $r->{err});
    my $rows = run('psql', '-At', $database, '-c', 'SELECT count(*) FROM cells');
    is($rows->{out}, "641\n", 'all of it is there') or diag(explain $rows);
}

$dir = abs_short($dir);
sub abs_short { my ($d) = @_; return length $d < 60 ? $d : do { my $s = "$ENV{PG_PRIVATE}.cut"; mkdir $s; $s } }

my $proxy = start_proxy();
work('connections cut at COMMIT', { MOONGATE_TEST_STATE => "postgres:///cut?host=$dir/proxy" }, 'cut');
my $cuts = read_file("$dir/cuts");
ok($cuts =~ tr/0// > 5 && $cuts =~ tr/1// > 5 && $cuts =~ tr/2// > 5, 'each way to cut was met') or diag($cuts);
kill TERM => $proxy;
waitpid $proxy, 0;
work('a server that crashes', { MOONGATE_TEST_STATE => 'postgres:///crash', RESTART => "$root/tests/lib/postgres" }, 'crash');
unlink "$dir/proxy/.s.PGSQL.5432";
rmdir "$dir/proxy";
rmdir "$ENV{PG_PRIVATE}.cut";
done_testing;
