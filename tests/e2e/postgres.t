#!/usr/bin/env perl
# Every Lua test whose head says "on both forms", against a private PostgreSQL: each file in a database of its own.
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
use Moon;
use Test::More;

my $n = 0;
for my $file (sort glob "$root/tests/lua/test_*.lua") {
    next if read_file($file) !~ /\A(?:--[^\n]*\n)*--[^\n]*on both forms/;
    my ($name) = $file =~ m{([^/]+)$};
    my $database = 'db' . ++$n;
    is(run('createdb', $database)->{status}, 0, "a database for $name");
    my $r = run({ env => { MOONGATE_TEST_STATE => "postgres:///$database" }, seconds => 120, dir => $root }, $moongate, 'test', $file);
    if ($r->{out} =~ /built without PostgreSQL/) { plan skip_all => 'built without libpq' }
    is($r->{status}, 0, $name) or diag($r->{out}, $r->{err});
}
ok($n > 0, 'there were some');
done_testing;
