#!/usr/bin/env perl
# The outbox from outside: a process that is killed between the commit and the receiver's answer, two that flush at once, a watch, what the
# commands say and how they end. With OUTBOX_STATE, in that store: outbox_postgres.t.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use Moon;
use POSIX qw(WNOHANG);
use Test::More;
use Time::HiRes qw(sleep time);

# A receiver: answers what the file `answer` says (a status, or "hang"), and writes a line "id status" for each message to `got`.
write_file('answer', '204');
write_file('got', '');
my $listener = IO::Socket::INET->new(Listen => 64, LocalAddr => '127.0.0.1', ReuseAddr => 1) or die $!;
my $url = 'http://127.0.0.1:' . $listener->sockport;
my $receiver = fork // die;
if (!$receiver) {
    setpgrp;
    $SIG{CHLD} = 'IGNORE';
    while (my $c = $listener->accept) {
        next if fork;
        my ($head, $status) = ('');
        while (1) {
            while (defined(my $line = <$c>)) { $head .= $line; last if $line =~ /^\r?\n$/ }
            my ($id) = $head =~ /^webhook-id: (\S+)/mi or last;
            my ($length) = $head =~ /^content-length: (\d+)/mi;
            read($c, my $body, $length);
            $status = read_file('answer');
            open my $log, '>>', 'got' or die;
            syswrite $log, "$id $status\n";
            if ($status eq 'hang') { sleep 60; last }
            print $c "HTTP/1.1 $status x\r\nContent-Length: 0\r\n\r\n";
            $c->flush;
            $head = '';
        }
        POSIX::_exit(0);
    }
    POSIX::_exit(0);
}
END { my $s = $?; kill KILL => -$receiver if $receiver; $? = $s }

sub got { [map { [split] } slurp_lines('got')] }
sub expect_got {    # waits until so many messages have come
    my ($n) = @_;
    my $end = time + 20;
    sleep 0.01 while @{ got() } < $n && time < $end;
    return scalar @{ got() };
}
sub clear { write_file('got', ''); write_file('answer', $_[0]) }
sub waiting { my $c = outbox()->{counts}; $c->{queued} + $c->{waiting} + $c->{running} }
sub outbox { json(moon('--json', 'outbox', 'list', '--status', 'all')->{out}) }

my $sim = start_sim();
$ENV{$_} = $sim->{env}{$_} for keys %{ $sim->{env} };
$ENV{HOOK} = 'a-secret-that-is-nowhere';
my $store = $ENV{OUTBOX_STATE} // 'sqlite:.moongate/state.db';
write_file('moongate.lua', qq{return { state = "$store", webhooks = { board = { url = "$url/T0/the-path-is-a-key", secret = secret "HOOK" } } }\n});

subtest 'killed while the receiver makes up its mind: delivered by the next, under the same id' => sub {
    clear('hang');
    index_file('one');
    my $pid = fork // die;
    if (!$pid) {
        open STDOUT, '>', 'killed.log';
        open STDERR, '>&', \*STDOUT;
        exec $moongate, 'deploy-index', 'one.json' or POSIX::_exit(127);
    }
    is(expect_got(1), 1, 'it is being told');
    kill KILL => $pid;
    waitpid $pid, 0;
    my $list = outbox();
    is($list->{messages}[0]{state}, 'running', 'the message is kept, and leased');
    is($list->{messages}[0]{tries}, 0, 'nobody knows what became of it');
    write_file('answer', '204');
    my $r = moon('outbox', 'flush');
    is($r->{status}, 0, 'nothing is left') or diag("$r->{out}$r->{err}");
    is($r->{out}, "1 delivered, 0 kept for later, 0 dead\n", 'and says so');
    my $got = got();
    is(scalar @$got, 2, 'told twice: at least once');
    is($got->[0][0], $got->[1][0], 'under one id');
    like(moon('audit', 'verify')->{out}, qr/every hash is good/, 'the audit log is whole');
};

subtest 'killed while it is told, and resumed: the run tells it to the end' => sub {
    clear('hang');
    index_file('resumed');
    my $pid = fork // die;
    if (!$pid) {
        open STDOUT, '>', 'killed.log';
        open STDERR, '>&', \*STDOUT;
        exec $moongate, '--run-id', 'r1', 'deploy-index', 'resumed.json' or POSIX::_exit(127);
    }
    is(expect_got(1), 1, 'it is being told');
    kill KILL => $pid;
    waitpid $pid, 0;
    write_file('answer', '204');
    my $r = moon('--json', 'runs', 'resume', 'r1');
    is($r->{status}, 0, 'the run is done') or diag("$r->{out}$r->{err}");
    my $document = json($r->{out});
    is($document->{results}[0]{webhooks}[0]{delivered}, JSON::PP::true(), 'its result says that it was told');
    ok(!$document->{undelivered_webhooks}, 'and nothing else');
    unlike($r->{err}, qr/earlier runs/, 'it is no earlier run');
    my $got = got();
    is(scalar @$got, 2, 'told twice: at least once');
    is($got->[0][0], $got->[1][0], 'under one id');
    is(outbox()->{messages}[0]{run_id}, 'r1', 'the message knows its run');
};

subtest 'what is left goes out beside the next run' => sub {
    clear('400');
    index_file('two');
    my $r = moon('deploy-index', 'two.json');
    is($r->{status}, 0, 'a webhook never fails the job');
    like($r->{out}, qr{webhook board: index_update was NOT delivered: \Q$url\E: answered 400}, 'but is told of');
    like($r->{out}, qr{kept and tried again: moongate queue list}, 'and how to look at it');
    my $document = json(moon('--json', 'deploy-index', 'two.json')->{out});
    ok(!$document->{undelivered_webhooks}, 'nothing changed: nobody is told');
    clear('204');
    $r = moon('deploy-index', 'two.json');
    is(scalar @{ got() }, 0, 'not before its time');
    make_due();
    $r = moon('--dry-run', 'deploy-index', 'two.json');
    is(scalar @{ got() }, 0, 'not in a dry run');
    $r = moon('--sim', 'deploy-index', 'two.json');
    is(scalar @{ got() }, 1, 'a simulated one tells of itself alone');
    is($r->{err} =~ /earlier runs/, '', 'and says nothing of earlier ones');
    clear('204');
    $r = moon('deploy-index', 'two.json');
    is($r->{status}, 0, 'the run is done');
    like($r->{err}, qr/^webhooks of earlier runs: 1 delivered \(moongate queue list\)$/m, 'one line says so');
    is(scalar @{ got() }, 1, 'delivered');
};

subtest 'a receiver that never answers holds up one run, not each' => sub {
    clear('400');
    index_file('slow');
    moon('deploy-index', 'slow.json');
    make_due();
    clear('hang');
    my $r = moon('deploy-index', 'slow.json');
    like($r->{err}, qr/^webhooks of earlier runs: 1 tried again later/m, 'it was tried');
    cmp_ok($r->{elapsed}, '<', 20, "and left: $r->{elapsed} s");
    is(scalar @{ got() }, 1, 'once');
    $r = moon('deploy-index', 'slow.json');
    unlike($r->{err}, qr/earlier runs/, 'the next run leaves it alone');
    is(outbox()->{messages}[0]{tries}, 2, 'it counts as a try');
    write_file('answer', '204');
    is(moon('outbox', 'flush')->{status}, 0, 'delivered by hand');
};

subtest 'two that flush at once: each message once' => sub {
    clear('400');
    mkdir 'many';
    index_file("many/i$_", indexId => "i$_") for 1 .. 40;
    my $r = moon('deploy-index', 'many', '--concurrency', 16);
    is($r->{status}, 0, '40 indexes') or diag($r->{err});
    is(waiting(), 40, '40 messages are kept');
    clear('204');
    my @pids;
    for my $n (1 .. 4) {
        my $pid = fork // die;
        if (!$pid) {
            open STDOUT, '>', "flush$n.log";
            open STDERR, '>', "flush$n.err";
            exec $moongate, 'outbox', 'flush' or POSIX::_exit(127);
        }
        push @pids, $pid;
    }
    my @status = map { waitpid $_, 0; $? >> 8 } @pids;
    ok(!(grep { $_ != 0 && $_ != 9 } @status), "each ends well (@status)");
    my %times;
    $times{ $_->[0] }++ for @{ got() };
    is(scalar keys %times, 40, 'all were told');
    ok(!(grep { $_ != 1 } values %times), 'each once');
    is(waiting(), 0, 'nothing is left');
};

subtest 'exit statuses, show, retry, drop' => sub {
    clear('410');
    index_file('gone');
    my $r = moon('deploy-index', 'gone.json');
    is(outbox()->{counts}{dead}, 1, '410: a dead letter');
    my ($m) = @{ json(moon('--json', 'outbox', 'list', '--status', 'dead')->{out})->{messages} };
    $r = moon('outbox', 'show', $m->{id});
    like($r->{out}, qr/^\{"data":\{/m, 'its body');
    unlike($r->{out} . $r->{err}, qr/the-path-is-a-key/, 'not its path');
    is($m->{url}, $url, 'the origin alone');
    $r = moon('outbox', 'flush');
    is($r->{status}, 0, 'a dead letter is not pending');
    like(moon('doctor')->{out}, qr/^warn  outbox         1 webhook message is dead, 0 pending$/m, 'the doctor sees it');
    clear('503');
    is(moon('outbox', 'retry', '--all-dead')->{status}, 0, 'retried');
    is(moon('outbox', 'flush')->{status}, 9, 'kept for later: 9');
    is(moon('outbox', 'flush', '--dry-run')->{status}, 2, 'no dry run');
    is(moon('outbox', 'drop', $m->{id})->{status}, 0, 'dropped');
    is(moon('outbox', 'drop', $m->{id})->{status}, 5, 'not twice');
    is(moon('outbox', 'show', 'nobody')->{status}, 3, 'no such message');
    is(moon('outbox', 'retry')->{status}, 2, 'which?');
    is(moon('outbox', 'list', '--state', 'dead')->{status}, 2, '--state is another thing');
    my @actions = map { $_->{action} } @{ json(moon('--json', 'audit', 'show', '--last', 20)->{out}) };
    for my $action (qw(webhook_dead_letter webhook_retry webhook_drop)) {
        ok((grep { $_ eq $action } @actions), "$action is in the audit log");
    }
    my $state = $store =~ /^sqlite/ ? read_file('.moongate/state.db') : run('pg_dump', $store)->{out};
    ok(length $state && index($state, $ENV{HOOK}) < 0, 'no secret is in the store');
    is(sprintf('%o', (stat '.moongate/state.db')[2] & 0777), '600', 'which is closed to others') if $store =~ /^sqlite/;
};

subtest 'what a script may not send, nobody sends in its stead' => sub {
    clear('204');
    write_file('script.lua', <<"LUA");
local workflow = require "moongate.workflow"
return workflow.define { name = "script", summary = "tells somebody", run = function(run)
  return { notes = run:webhook("told", {}, { also = { mine = { url = "https://192.0.2.1:9/hook" } } }) }
end }
LUA
    my $r = moon('run', 'script.lua');
    like($r->{out}, qr/192\.0\.2\.1:9 is not allowed to this script/, 'denied');
    ok(!(grep { $_->{webhook} eq 'mine' } @{ outbox()->{messages} }), 'and not kept');
};

subtest 'a watch goes on until it is told to end' => sub {
    clear('400');
    my $w = start(qr/(watching the outbox)/, $moongate, '--metrics-file', 'watch.prom', 'outbox', 'flush', '--watch') or return fail('no watch');
    index_file('late');
    moon('deploy-index', 'late.json');
    write_file('answer', '204');
    my $end = time + 30;
    sleep 0.05 while waiting() && time < $end;
    is(waiting(), 0, 'delivered in its time');
    $end = time + 20;
    sleep 0.05 until read_file('watch.prom') =~ /^moongate_webhook_deliveries_total\{.*status="delivered"\} 1$/m || time > $end;
    like(read_file('watch.prom'), qr/^moongate_outbox_messages\{job="watch",state="pending"\} 0$/m, 'its metrics say so while it goes on');
    kill TERM => $w->{pid};
    waitpid $w->{pid}, 0;
    is($? >> 8, 0, 'ends well');
    like(read_file($w->{log}), qr/^1 delivered, 0 kept for later, 0 dead$/m, 'with its sum');
};

# The clock can't be turned from outside: the schedule is.
sub make_due {
    my $code = qq{local db = assert(require("moongate.store").open("$store"))
      assert(db:exec("UPDATE queue_items SET not_before = 0")) db:close()};
    write_file('due.lua', "local t = require 'moongate.test'\nt.test('due', function() $code end)\n");
    my $r = moon('test', 'due.lua');
    is($r->{status}, 0, 'time passes') or diag("$r->{out}$r->{err}");
}
done_testing;
