#!/usr/bin/env perl
# crash.t once more, fewer points, with the journal in a private PostgreSQL.
use strict;
use warnings;
use FindBin;

if (!$ENV{PG_PRIVATE}) {    # the whole test again, inside of a server
    my $status = system "$FindBin::Bin/../lib/postgres", $^X, $0, @ARGV;
    print "1..0 # SKIP no PostgreSQL here (Debian's package postgresql)\n" if $status >> 8 == 77;
    exit($status >> 8 == 77 ? 0 : $status ? 1 : 0);
}
system('createdb', 'crash') == 0 or die 'createdb';
$ENV{CRASH_STATE} = 'postgres:///crash';
$ENV{CRASH_EVERY} //= 25;
exec $^X, "$FindBin::Bin/crash.t";
