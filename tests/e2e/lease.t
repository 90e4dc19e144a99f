#!/usr/bin/env perl
# Leases from outside: many processes at once on one deployment, holders that die or hang, leases that are broken.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Moon;
use Test::More;
use Time::HiRes qw(sleep time);

my $sim   = start_sim('--rate-limit', 1_000_000);
my @files = map { index_file("shared-$_") } 1 .. 3;
my $store = $ENV{LEASE_STORE} // "sqlite:$dir/shared-state/state.db";    # lease_postgres.t gives another
my @state = ('--state', $store, '--audit-log', "$dir/audit.jsonl");

sub routes { my ($re) = @_; my $r = sim_get($sim, 'stats')->{routes}; my $n = 0; $n += $r->{$_}{count} for grep { $_ =~ $re } keys %$r; $n }

# The gateway as it is when it starts, and without faults.
sub afresh { sim_post($sim, 'reset'); HTTP::Tiny->new(timeout => 10)->request(DELETE => "$sim->{url}/__sim/faults") }

# Starts n processes that wait for one signal to go, so that they begin together -> their results.
sub all_at_once {
    my ($n, @cmd) = @_;
    pipe my $gate, my $open or die $!;
    my @p;
    for my $i (1 .. $n) {
        my $pid = fork // die $!;
        if (!$pid) {
            close $open;
            @ENV{ keys %{ $sim->{env} } } = values %{ $sim->{env} };
            open STDOUT, '>', "$dir/out-$i";
            open STDERR, '>', "$dir/err-$i";
            sysread $gate, my $go, 1;    # the end of the file, for all
            exec @cmd or POSIX::_exit(127);
        }
        push @p, { pid => $pid, i => $i };
    }
    close $gate;
    close $open;
    my $end = time + 120;
    for my $p (@p) {
        my $gone;
        until ($gone = waitpid($p->{pid}, POSIX::WNOHANG()) == $p->{pid}) {
            if (time > $end) { kill KILL => $p->{pid}; waitpid $p->{pid}, 0; last }
            sleep 0.01;
        }
        $p->{status} = $? >> 8;
        $p->{out}    = read_file("$dir/out-$p->{i}");
        $p->{err}    = read_file("$dir/err-$p->{i}");
    }
    return @p;
}

subtest 'fifty processes at once: one does it' => sub {
    sim_post($sim, 'faults', 'late=60,method=PUT');
    my @p = all_at_once(50, $moongate, @state, '--json', 'deploy-index', '--concurrency', 1, @files);
    my %by = map { my $s = $_; $s => [ grep { $_->{status} == $s } @p ] } 0, 5;
    is(@{ $by{0} } + @{ $by{5} }, 50, 'each has done it, found it done, or left') or diag(map { "$_->{status}: $_->{err}" } grep { $_->{status} != 0 && $_->{status} != 5 } @p);
    my @made = grep { json($_->{out})->{summary}{created} } @{ $by{0} };
    is(scalar @made, 1, 'one has done it');
    is(json($made[0]{out})->{summary}{created}, 3, 'all of it') if @made;
    is(scalar(grep { json($_->{out})->{summary}{unchanged} != 3 } grep { $_ != $made[0] } @{ $by{0} }), 0, 'who came later found all of it done');
    cmp_ok(scalar @{ $by{5} }, '>=', 1, scalar @{ $by{5} } . ' left with exit status 5');
    my $err = $by{5}[0] ? $by{5}[0]{err} : '';
    like($err, qr{resource /api/v2/ai/vectorstores/store-1/indexes/shared-\d.* is locked by deploy-index, pid \d+ on }, 'and said who holds it');
    like($err, qr/--wait/, 'and what to do');
    is(routes(qr/^PUT/), 3, 'the gateway saw three writes');
    cmp_ok(routes(qr/token/), '<=', 50, 'and at most one token request a process');
    is(moon(@state, 'lease', 'list')->{out}, "no leases\n", 'nothing is held any more');
};

subtest 'fifty that wait: all are done, one has done it' => sub {
    afresh();
    my @p = all_at_once(50, $moongate, @state, '--json', '--wait', '100s', 'deploy-index', @files);
    is(scalar(grep { $_->{status} == 0 } @p), 50, 'all end well') or diag(map { "$_->{status}: $_->{err}" } grep { $_->{status} } @p);
    is(scalar(grep { $_->{status} == 0 && json($_->{out})->{summary}{created} } @p), 1, 'one has done it');
    is(routes(qr/^PUT/), 3, 'the gateway saw three writes');
    cmp_ok(routes(qr/token/), '<=', 50, 'and at most one token request a process');
};

# A process in the middle of its first write -> it. Ends when `late` ms are over, or is ended.
sub at_work {
    my ($late, @cmd) = @_;
    afresh();
    sim_post($sim, 'faults', "late=$late,method=PUT,times=1");
    my $p = Moon::spawn({ env => $sim->{env} }, $moongate, @state, @cmd);
    my $end = time + 30;
    until (routes(qr/^PUT/) || time > $end) { sleep 0.01 }
    return $p;
}
sub ended {
    my ($p) = @_;
    close $p->{in};
    local $/;
    my ($out, $err) = (readline $p->{out}, readline $p->{err});
    waitpid $p->{pid}, 0;
    return ($? >> 8, $out, $err);
}

subtest 'a holder that is killed is taken over from at once' => sub {
    my $p = at_work(20_000, 'deploy-index', '--concurrency', 1, @files);
    my $list = json(moon(@state, '--json', 'lease', 'list')->{out})->{leases};
    is(scalar(grep { $_->{state} eq 'held' && $_->{pid} == $p->{pid} && $_->{name} =~ /^resource / } @$list), 3, 'it holds all three');
    kill KILL => $p->{pid};
    ended($p);
    like(moon(@state, 'lease', 'list')->{out}, qr/left by deploy-index, pid $p->{pid} on .*, which has died/, 'the list says that it is gone');
    my $r = moon({ env => $sim->{env} }, @state, 'deploy-index', @files);
    is($r->{status}, 0, 'the next one goes on') or diag($r->{err});
    like($r->{err}, qr/has died: taken over/, 'and says so');
    cmp_ok($r->{elapsed}, '<', 10, 'without waiting');
};

subtest 'a lease that is broken stops its holder before the next write' => sub {
    my $p = at_work(3000, '-q', '--log-level', 'error', 'deploy-index', '--concurrency', 1, @files);
    my $b = moon(@state, 'lease', 'break', 'indexes/shared-3');
    is($b->{status}, 0, 'it is broken') or diag($b->{err});
    like($b->{out}, qr{indexes/shared-3 at \S+: taken from deploy-index, pid $p->{pid} on }, 'and told from whom it was taken');
    is(moon(@state, 'lease', 'break', 'indexes/shared-3')->{status}, 3, 'a second time there is nothing to break');
    is(moon(@state, 'lease', 'break', 'indexes/shared')->{status}, 2, 'a name that could be several is refused');
    my ($status, $out, $err) = ended($p);
    is($status, 5, 'the holder ends with 5');
    like($err, qr{the lease on resource \S+/shared-3 at \S+ was lost}, 'and says why');
    is(routes(qr{^PUT}), 2, 'the two before it were written');
    my $audit = moon(@state, '--json', 'audit', 'show', '--action', 'lease_broken');
    like(json($audit->{out})->[0]{lease}, qr{^resource \S+/shared-3 at }, 'the audit log knows');
};

subtest 'a holder that stood still until its lease ran out writes no more' => sub {
    my $p = at_work(400, 'deploy-index', '--concurrency', 1, @files);
    kill STOP => $p->{pid};
    my $script = write_file('run_out.lua', qq{require "moongate.test".test("they run out", function()
  local db <close> = assert(require "moongate.store".open "$store")
  assert(db:exec "UPDATE leases SET expires_at = 1 WHERE holder IS NOT NULL")
end)
});
    is(moon('test', $script)->{status}, 0, 'its leases have run out');
    index_file('shared-2', dimensions => 1024);    # not what the first one wants
    my $other = moon({ env => $sim->{env} }, '--json', @state, 'deploy-index', @files);
    is($other->{status}, 0, 'another one takes them, though its process is there') or diag($other->{err});
    is(json($other->{out})->{summary}{created}, 2, 'and does what is left');
    index_file('shared-2');
    kill CONT => $p->{pid};
    my ($status, $out, $err) = ended($p);
    is(routes(qr{^PUT}), 3, 'it has written nothing more') or diag($err);
    is($status, 5, 'it ends with 5') or diag($err);
    like($err, qr/the lease on \S+ \S+( at \S+)? was lost/, 'and says why');
};

subtest 'Ctrl-C gives back what is held' => sub {
    my $p = at_work(1000, 'deploy-index', '--concurrency', 1, @files);
    kill INT => $p->{pid};
    my ($status) = ended($p);
    is($status, 130, 'it was interrupted');
    my $list = json(moon(@state, '--json', 'lease', 'list')->{out})->{leases};
    is(scalar(grep { $_->{state} eq 'held' } @$list), 0, 'nothing is held by anybody who lives');
};

subtest 'Ctrl-C ends the waiting' => sub {
    my $script = write_file('waits.lua', <<'LUA');
return require "moongate.workflow".define { name = "waits", summary = "writes one", run = function(run)
  return run:step("write", function()
    return { status = run.gateway:put_path("/api/v2/ai/vectorstores/store-1/indexes/{id}", { indexId = "shared-3" }, { params = { id = "shared-3" } }).status }
  end)
end }
LUA
    my $p = at_work(8000, 'deploy-index', '--concurrency', 1, @files);
    my $w = Moon::start({ env => $sim->{env} }, qr/(waiting: )/, $moongate, @state, '--wait', '60s', 'run', $script) or return fail('it waits');
    my $since = time;
    kill INT => $w->{pid};
    waitpid $w->{pid}, 0;
    is($? >> 8, 130, 'exit status 130') or diag(read_file($w->{log}));
    cmp_ok(time - $since, '<', 5, 'at once');
    like(read_file($w->{log}), qr/runs resume/, 'it can be taken up again');
    kill KILL => $p->{pid};
    ended($p);
};

subtest 'a plain script holds what it writes' => sub {
    my $p = at_work(5000, 'deploy-index', '--concurrency', 1, @files);
    my $script = write_file('write.lua', <<'LUA');
local auth, gateway, http = require "moongate.auth", require "moongate.gateway", require "moongate.http"
local gw = gateway.open { client = assert(http.client { base_url = auth.info().api_url, auth = assert(auth.gateway()) }) }
local place = { vectorStoreId = "store-1", indexId = "shared-3" }
local config = { indexId = "shared-3", dimensions = 8, similarityMetric = "cosine", embeddingFormat = "float32",
  autoIngestTrigger = true, webhookSyncUrl = "http://127.0.0.1:9/sync" }
return gw:write("index", place, { content = config }).status
LUA
    my $r = moon({ env => $sim->{env} }, @state, 'run', $script);
    is($r->{status}, 5, 'it leaves while another one holds it') or diag($r->{out}, $r->{err});
    kill KILL => $p->{pid};
    ended($p);
    afresh();
    $r = moon({ env => $sim->{env} }, @state, 'run', $script);
    is($r->{out}, "created\n", 'and writes it then') or diag($r->{err});
    unlike(moon(@state, 'lease', 'list')->{out}, qr/shared-3/, 'and gives it back');
    write_file('nowhere', '');
    $r = moon({ env => $sim->{env} }, '--state', "$dir/nowhere/x", '--audit-log', "$dir/a.jsonl", 'run', $script);
    isnt($r->{status}, 0, 'without a store it is not written');
    like($r->{err}, qr/not sent, because the resource can't be locked/, 'and the error says so');
    is(routes(qr/^PUT/), 1, 'nothing was sent');
};

done_testing;
