#!/usr/bin/env perl
# A server that takes the connection and answers nothing, a process that stands still inside a transaction, and a pooler
# between: each wait has an end, Ctrl-C ends it, and nobody else's work is lost.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../e2e/lib";

BEGIN {    # the whole test again, inside of a server
    if (!$ENV{PG_PRIVATE}) {
        my $status = system "$FindBin::Bin/../lib/postgres", $^X, $0, @ARGV;
        print "1..0 # SKIP no PostgreSQL here (Debian's package postgresql)\n" if $status >> 8 == 77;
        exit($status >> 8 == 77 ? 0 : $status ? 1 : 0);
    }
}
use Moon;
use IPC::Open3;
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(sleep time);

my $sim = start_sim('--rate-limit', 0);
my %env = (%{ $sim->{env} }, MOONGATE_STATE => 'postgres:///postgres');
my ($psql) = sort { $b cmp $a } glob '/usr/lib/postgresql/*/bin/psql';
sub sql { my ($text, @more) = @_; my $out = run($psql // 'psql', @more, '-qAtc', $text); chomp $out->{out}; $out->{out} }

write_file('steps.lua', <<'LUA');
return require"moongate.workflow".define { name = "steps", summary = "x", run = function(run)
  for k = 1, 200 do run:step("s" .. k, function() return { k = k } end) run:sleep(0.1) end
  return { ok = true }
end }
LUA

# Starts a run and lets it do some steps.
sub begin {
    my ($id) = @_;
    my $p = Moon::spawn({ env => \%env }, $moongate, '--state', $env{MOONGATE_STATE}, '--run-id', $id, 'run', 'steps.lua');
    my $end = time + 20;
    until (time > $end || sql("SELECT count(*) > 3 FROM steps WHERE run = '$id'") eq 't') { sleep 0.05 }
    return $p;
}

# Waits for its end, but not for ever -> seconds, what it said, its status.
sub ended {
    my ($p, $limit) = @_;
    my $since = time;
    local $SIG{ALRM} = sub { kill 'KILL', $p->{pid} };
    alarm $limit;
    close $p->{in};
    my $err = do { local $/; readline $p->{out}; readline $p->{err} };
    waitpid $p->{pid}, 0;
    alarm 0;
    return (time - $since, $err, $?);
}

my ($postmaster) = read_file("$ENV{PG_PRIVATE}/data/postmaster.pid") =~ /^(\d+)/;
sub all_of_it { ($postmaster, split ' ', `pgrep -P $postmaster`) }

SKIP: {
    skip 'not as root: the server is another user here', 6 if !kill 0, $postmaster;

    # The server stops.
    my $p = begin('silent');
    my @stopped = all_of_it();
    kill 'STOP', @stopped;
    my ($seconds, $err, $status) = ended($p, 60);
    cmp_ok($seconds, '<', 45, 'a server that does not answer is waited for half a minute');
    is($status & 127, 0, 'and the run ends by itself');
    like($err, qr/no answer from the server|does not answer/, 'which says why') or diag($err);
    kill 'CONT', @stopped;

    # Ctrl-C does not wait for it.
    $p = begin('stopped');
    @stopped = all_of_it();
    kill 'STOP', @stopped;
    sleep 1;
    kill 'INT', $p->{pid};
    ($seconds, $err, $status) = ended($p, 40);
    cmp_ok($seconds, '<', 12, 'one Ctrl-C ends the wait');
    is($status & 127, 0, 'in order');
    kill 'CONT', @stopped;
    my $r = moon({ env => \%env }, '--state', $env{MOONGATE_STATE}, 'runs', 'list');
    is($r->{status}, 0, 'and all goes on when it answers again') or diag($r->{err});
}

# A client that stands still in a transaction of its own, which has sent only a part of what it has to say.
SKIP: {
    my $socket = IO::Socket->new;
    skip 'no socket', 2 if !eval { require IO::Socket::UNIX; $socket = IO::Socket::UNIX->new(Peer => (glob "$ENV{PG_PRIVATE}/.s.PGSQL.*[0-9]")[0]) };
    my $text = sub { my ($type, $body) = @_; $type . pack('N', 4 + length $body) . $body };
    my $who = "user\0moongate\0database\0postgres\0application_name\0moongate\0\0";
    print $socket pack('NN', 8 + length $who, 196608), $who;
    $socket->flush;
    sysread $socket, my $in, 65536;
    my $statement = sub { join '', $text->('P', "\0$_[0]\0\0\0"), $text->('B', "\0\0\0\0\0\0\0\0"), $text->('E', "\0\0\0\0\0") };
    print $socket $statement->('BEGIN'), $statement->('LOCK TABLE runs IN EXCLUSIVE MODE'), $text->('H', '');
    $socket->flush;    # and no Sync: the server waits for more, and has no limit for that
    sleep 0.5;
    is(sql("SELECT count(*) FROM pg_locks WHERE mode = 'ExclusiveLock' AND relation = 'runs'::regclass"), 1, 'it has the lock');
    my $since = time;
    my $r = moon({ env => \%env }, '--state', $env{MOONGATE_STATE}, 'deploy-index', index_file('waits'));
    is($r->{status}, 0, 'who waits for it goes on') or diag($r->{err});
    cmp_ok(time - $since, '<', 30, 'soon');
}

# PgBouncer.
SKIP: {
    my ($bouncer) = grep { -x } '/usr/sbin/pgbouncer', '/usr/bin/pgbouncer';
    skip 'no PgBouncer here (Debian\'s package pgbouncer)', 5 if !$bouncer;
    my ($socket) = glob "$ENV{PG_PRIVATE}/.s.PGSQL.*[0-9]";
    my ($server) = $socket =~ /(\d+)$/;
    for my $mode ('transaction', 'statement') {
        my $probe = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or die;
        my $port = $probe->sockport;
        close $probe;
        write_file('users.txt', qq("moongate" ""\n));
        write_file('bouncer.ini', <<"INI");
[databases]
postgres = host=$ENV{PG_PRIVATE} port=$server user=moongate
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $port
unix_socket_dir =
auth_type = any
pool_mode = $mode
default_pool_size = 1
ignore_startup_parameters = extra_float_digits
INI
        my @as = $> == 0 ? ('-u', 'nobody') : ();
        chmod 0755, '.';
        my $pid = open3(my $in, my $out, undef, $bouncer, '-q', @as, 'bouncer.ini');
        my $up;
        for (1 .. 200) { last if $up = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port); sleep 0.05 }
        ok($up, "PgBouncer pools by $mode");
        my $state = "postgres://moongate\@127.0.0.1:$port/postgres";
        my $r = moon({ env => $sim->{env} }, '--state', $state, '--run-id', "by-$mode", 'deploy-index', index_file("by-$mode"));
        if ($mode eq 'transaction') {
            is($r->{status}, 0, 'which works') or diag($r->{err});
            my @to = ('-h', '127.0.0.1', '-p', $port, '-U', 'moongate', 'postgres');
            is(join(' ', map { sql("SHOW $_", @to) } qw(lock_timeout idle_in_transaction_session_timeout)), '0 0', 'and leaves nothing to others');
        } else {
            isnt($r->{status}, 0, 'which can\'t work');
            like($r->{err}, qr/pool_mode = transaction/, 'and is told so') or diag($r->{err});
        }
        kill 'INT', $pid;
        waitpid $pid, 0;
    }
}
done_testing;
