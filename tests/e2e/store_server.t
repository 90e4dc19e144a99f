#!/usr/bin/env perl
# A state on a server: fifty processes that make it at once, and what is said of databases that won't do.
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

sub sql { my ($database, $text) = @_; my $r = run('psql', '-qAt', '-v', 'ON_ERROR_STOP=1', $database, '-c', $text); is($r->{status}, 0, $text) or diag($r->{err}); $r->{out} }
sub runs { moon({ env => { MOONGATE_STATE => $_[0] }, seconds => 60 }, 'runs', 'list') }

sub refused {
    my ($url, $words, $what) = @_;
    my $r = runs($url);
    is($r->{status}, 1, "$what: refused");
    like($r->{err}, $words, 'with the reason');
    ok($r->{elapsed} < 10, 'soon') or diag($r->{elapsed});
}

sql('postgres', "CREATE DATABASE $_") for qw(many newer other weak);
my @pids;
for (1 .. 50) {
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        $ENV{MOONGATE_STATE} = 'postgres:///many';
        open STDOUT, '>', '/dev/null';
        open STDERR, '>', "many.$$";
        exec $moongate, 'runs', 'list' or exit 127;
    }
    push @pids, $pid;
}
my $bad = 0;
for my $pid (@pids) {
    waitpid $pid, 0;
    next unless $?;
    $bad++;
    diag(read_file("many.$pid"));
}
is($bad, 0, 'fifty processes make one state at once');
is(sql('many', 'SELECT count(*) - count(DISTINCT version) FROM moongate_schema'), "0\n", 'each version once');

is(runs('postgres:///newer')->{status}, 0, 'a state');
sql('newer', 'UPDATE moongate_schema SET version = 99');
refused('postgres:///newer', qr/newer moongate \(schema 99; this one knows \d+\)/, 'of a newer version');
is(sql('newer', 'SELECT DISTINCT version FROM moongate_schema'), "99\n", 'and left as it is');

sql('other', 'CREATE TABLE runs (distance int)');
refused('postgres:///other', qr/tables can't be made .*runs.* already exists.*database of its own/s, 'of another program');
is(sql('other', "SELECT count(*) FROM pg_class WHERE relname IN ('steps', 'moongate_schema')"), "0\n", 'and left as it is');

sql('weak', 'CREATE ROLE weak LOGIN');
refused('postgres://weak@/weak', qr/permission denied.*rights/s, 'a user who may not');
refused('postgres:///nowhere', qr/database "nowhere" does not exist/, 'no database');
refused('postgres:///x?host=/nowhere', qr/can't be reached/, 'no server');
done_testing;
