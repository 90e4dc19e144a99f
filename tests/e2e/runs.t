#!/usr/bin/env perl
# Runs that are killed, stopped and taken up again, from outside: the example of docs/runs.md and every bundled workflow. Each is killed
# with its write on the way: once before it takes effect, once after. The gateway is another process and lives on.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Moon;
use POSIX qw(WNOHANG);
use Test::More;
use Time::HiRes qw(time);

my $sim = start_sim('--rate-limit', '0');
my ($page)  = read_file("$root/docs/runs.md") =~ /^```lua\n(local uuid.*?)^```$/ms;
my $example = write_file("$dir/rollout.lua", $page);
like(read_file("$root/scripts/examples/rollout.lua"), qr/\Q$page\E\z/, 'the example is the one that docs/runs.md shows');
write_file('moongate.lua', <<"LUA");
return { webhooks = { team = { url = "$sim->{url}/__sim/webhooks/team" } } }
LUA
my $n = 0;

sub begin { my ($o, @words) = @_; Moon::spawn({ env => { %{ $sim->{env} }, %{ $o->{env} // {} } } }, $moongate, @words) }

# What is left of a process: {status, signal, out, err}
sub ended {
    my ($p) = @_;
    my %text;
    for my $name (qw(out err)) { my $fh = $p->{$name}; local $/; $text{$name} = <$fh> // '' }
    waitpid $p->{pid}, 0;
    return { status => $? >> 8, signal => $? & 127, %text };
}

sub requests {
    my ($pattern) = @_;
    my $routes = sim_get($sim, 'stats')->{routes};
    my $sum = 0;
    $sum += $routes->{$_}{count} for grep { /$pattern/ } keys %$routes;
    return $sum;
}

# Until the gateway has been sent so many.
sub sent {
    my ($pattern, $count) = @_;
    my $end = time + 20;
    while (time < $end) {
        return 1 if requests($pattern) >= $count;
        select undef, undef, undef, 0.02;
    }
    return 0;
}

sub fault { sim_post($sim, 'reset'); HTTP::Tiny->new->delete("$sim->{url}/__sim/faults"); sim_post($sim, 'faults', $_) for @_ }
sub state_of { my $s = sim_get($sim, 'state'); return { map { $_ => $s->{$_} } qw(indexes templates models model_configurations) } }
sub run_of { my ($id) = @_; json(moon('--json', 'runs', 'show', $id)->{out}) }

# Times and random ids apart.
sub steady {
    my ($v) = @_;
    return [ map { steady($_) } @$v ] if ref $v eq 'ARRAY';
    return $v if ref $v ne 'HASH';
    my %out = map { $_ => steady($v->{$_}) }
        grep { !/^(createdAt|updatedAt|syncEventId|registeredAt|id|latency_ms|last_update|sync_event_id|correlation_id|attempts|webhooks|ingestion)$/
            && !/^(audit_seq|audit_id|job_id|job_duration_ms|model_id|metrics|validation|health|undelivered_webhooks)$/ } keys %$v;
    $out{status} = 'created' if ($out{status} // '') =~ /^(reconciled|updated|promoted)$/;
    delete $out{summary};
    # models are known by random ids
    if (grep { /^[0-9a-f]{8}-/ } keys %out) { return [ sort map { JSON::PP->new->canonical->encode($_) } values %out ] }
    return \%out;
}

sub told { my $got = sim_get($sim, 'webhooks'); return scalar grep { 1 } @{ $got->{messages} // $got } }

# name, where it is cut off, and the command.
my @cases = (
    [ 'the example', 'PUT */indexes/*', 'run', $example, 'orders' ],
    [ 'the example, asking', 'POST */prompts', 'run', $example, 'orders' ],
    [ 'deploy-index', 'PUT */indexes/*', 'deploy-index', index_file('orders'), index_file('items'), '--concurrency', '1' ],
    [ 'promote-template', 'POST */versions', 'promote-template', "$root/scripts/examples/template.json" ],
    [ 'configure-model', 'PUT */configuration', 'configure-model', "$root/scripts/examples/model_configuration.json" ],
    [ 'register-model', 'POST */llm-gateway/models', 'register-model', '--no-synthetic', "$root/scripts/examples/model.json" ],
    [ 'register-model, its job', 'GET */jobs/*', 'register-model', '--no-synthetic', "$root/scripts/examples/model.json" ],
);

# Requests of a method and path that carried no key and came twice.
sub sent_twice {
    my %seen;
    return grep { $_->{method} ne 'GET' && !$_->{id} && $_->{path} =~ m{^/api/} && $seen{"$_->{method} $_->{path} " . ($_->{body} // '')}++ }
        @{ sim_get($sim, 'stats')->{last} };
}

for my $case (@cases) {
    my ($name, $where, @words) = @$case;
    my ($method, $path) = split / /, $where;
    my $pattern = $path =~ s/\*/.*/gr;
    $pattern = qr/^$method $pattern$/;
    fault();
    my $whole = moon({ env => $sim->{env} }, '--json', '--run-id', 'whole' . ++$n, @words);
    is($whole->{status}, 0, "$name: uninterrupted") or diag($whole->{err});
    my ($state, $result) = (steady(state_of()), steady(json($whole->{out})));
    for my $how ('late', 'latency') {
        fault("$how=700,method=$method,path=$path,nth=1");
        my $id = 'cut' . ++$n;
        my $p  = begin({}, '--run-id', $id, @words);
        ok(sent($pattern, 1), "$name: under way");
        kill KILL => $p->{pid};
        is(ended($p)->{signal}, 9, "$name: killed with its request on the way ($how)");
        ok(run_of($id)->{killed}, 'it is known to be killed');
        my $again = moon({ env => $sim->{env} }, '--json', 'runs', 'resume', $id);
        is($again->{status}, 0, "$name: taken up again") or diag($again->{err});
        select undef, undef, undef, 0.8 if $how eq 'latency';    # the first one takes effect now, if it does
        is_deeply(steady(state_of()), $state, "$name: the gateway holds what it does after an uninterrupted run");
        is_deeply(steady(json($again->{out})), $result, "$name: the same result") or diag($again->{out}, $whole->{out});
        is(run_of($id)->{status}, 'done', "$name: done");
        is(scalar sent_twice(), $name =~ /promote/ ? 1 : 0, "$name: nothing un-keyed was sent twice")    # a version's POST is idempotent
            if $method eq 'POST' && $how eq 'latency';
    }
}
my $verify = moon('audit', 'verify');
is($verify->{status}, 0, 'the audit log verifies');
unlike($verify->{out}, qr/without an outcome/, 'no intent is left open') or diag($verify->{out});

# ---- signals ----

sub resume_command { my ($text) = @_; $text =~ /^  hint: To resume: moongate (.*)$/m ? split / /, $1 : () }

subtest 'Ctrl-C finishes the write under way, says how to go on, and leaves metrics and a document' => sub {
    fault('late=700,method=PUT,nth=1');
    my $p = begin({}, '--json', '--metrics-file', 'stopped.prom', 'run', $example, 'stopped');
    ok(sent(qr/^PUT/, 1), 'under way');
    kill INT => $p->{pid};
    my $r = ended($p);
    is($r->{status}, 130, 'exit status 130');
    my $doc = json($r->{out});
    is($doc->{error}{code},        'interrupted', 'one JSON document');
    is($doc->{error}{exit_status}, 130);
    my @command = resume_command($r->{err});
    is(scalar @command, 3, 'the command that goes on') or diag($r->{err});
    my $run = run_of($command[-1]);
    is($run->{status}, 'interrupted', 'interrupted');
    is_deeply([ map { "$_->{kind} $_->{state}" } @{ $run->{steps} } ], [ 'step done', 'write done' ], 'what was under way was finished, nothing more begun');
    like(read_file('stopped.prom'), qr/^moongate_run_exit_status\{job="\w+",workflow="rollout"\} 130$/m, 'the metrics are written');
    $r = moon({ env => $sim->{env} }, @command);
    is($r->{status}, 0, 'it goes on') or diag($r->{err});
    is(requests(qr/^PUT/), 1, 'with one write in all');
};

subtest 'SIGTERM ends a sleep at once; what is left of it is slept when the run goes on' => sub {
    fault();
    my $p = begin({}, '--run-id', 'sleeper', 'run', $example, 'sleeper', '--settle', '60s');
    my $end = time + 20;
    while (time < $end) { last if grep { $_->{kind} eq 'sleep' } @{ run_of('sleeper')->{steps} // [] } }
    kill TERM => $p->{pid};
    my $began = time;
    my $r     = ended($p);
    is($r->{status}, 130, 'exit status 130');
    cmp_ok(time - $began, '<', 5, 'at once');
    like($r->{err}, qr/runs resume sleeper$/m, 'the command that goes on');
};

subtest 'a job of the gateway is waited for by the next life' => sub {
    fault();
    my $text = read_file("$root/scripts/examples/model.json");
    write_file('stuck.json', $text =~ s/"name": *"[^"]+"/"name": "stuck-model"/r);
    my $p = begin({}, '--run-id', 'stuck', 'register-model', '--no-synthetic', 'stuck.json');
    ok(sent(qr/^GET .*jobs/, 1), 'the job has begun');
    kill INT => $p->{pid};
    my $began = time;
    is(ended($p)->{status}, 130, 'exit status 130');
    cmp_ok(time - $began, '<', 5, 'at once');
    my ($write) = grep { $_->{kind} eq 'write' } @{ run_of('stuck')->{steps} };
    is($write->{state}, 'started', 'its write is not done');
    ok($write->{intent}{answer}{body}{jobId}, 'the job is known');
    my $polls = requests(qr/^GET .*jobs/);
    $p = begin({}, 'runs', 'resume', 'stuck');
    ok(sent(qr/^GET .*jobs/, $polls + 1), 'it is waited for again');
    kill INT => $p->{pid};
    is(ended($p)->{status}, 130);
    is(requests(qr{^POST .*/llm-gateway/models$}), 1, 'it was submitted once');
};

subtest 'a second signal does not wait' => sub {
    fault('late=30000,method=PUT,nth=1');
    my $p = begin({}, '--run-id', 'impatient', 'run', $example, 'impatient');
    ok(sent(qr/^PUT/, 1), 'under way');
    kill INT => $p->{pid};
    select undef, undef, undef, 0.2;
    kill INT => $p->{pid};
    my $began = time;
    is(ended($p)->{status}, 130, 'exit status 130');
    cmp_ok(time - $began, '<', 5, 'at once');
    fault();
};

subtest 'a signal outside of any run ends the program as before' => sub {
    my $p = begin({}, '-e', 'require("moongate.task").sleep(60)');
    select undef, undef, undef, 0.3;
    kill INT => $p->{pid};
    is(ended($p)->{status}, 130, 'exit status 130');
};

# ---- ids ----

subtest 'the same --run-id again gives the recorded result' => sub {
    fault();
    my @words = ('--json', '--run-id', 'build-17', 'run', $example, 'ci');
    my $first = moon({ env => $sim->{env} }, @words);
    is($first->{status}, 0);
    my $before = sim_get($sim, 'stats')->{requests};
    my $again  = moon({ env => $sim->{env} }, @words);
    is($again->{out}, $first->{out}, 'the same document');
    like($again->{err}, qr/Run build-17 already finished at /, 'and says so');
    is(sim_get($sim, 'stats')->{requests}, $before, 'nothing was asked of the gateway');
    my $other = moon({ env => $sim->{env} }, '--run-id', 'build-17', 'run', $example, 'other');
    is($other->{status}, 2, 'other words: 2');
    like($other->{err}, qr/run build-17 was started with other arguments: ci/);
    is(moon({ env => $sim->{env} }, '--run-id', 'a b', 'run', $example, 'x')->{status}, 2, 'an id that is none: 2');
    is(moon('runs', 'resume', 'nobody')->{status}, 3, 'a run that there is not: 3');
};

subtest 'another gateway is refused' => sub {
    fault('late=500,method=PUT,nth=1');
    my $p = begin({}, '--run-id', 'elsewhere', 'run', $example, 'elsewhere');
    ok(sent(qr/^PUT/, 1));
    kill KILL => $p->{pid};
    ended($p);
    my $r = moon({ env => { %{ $sim->{env} }, GENESYSCLOUD_REGION => 'http://127.0.0.1:1' } }, 'runs', 'resume', 'elsewhere');
    is($r->{status}, 5, 'exit status 5');
    like($r->{err}, qr/run elsewhere was started against \Q$sim->{url}\E, not against/);
    like(moon('--sim', '--state', "$dir/.moongate", 'runs', 'resume', 'elsewhere')->{err}, qr/run elsewhere not found/, 'nor is it one of the simulated ones');
    fault();
};

# ---- what can not be known ----

write_file('charge.lua', <<'LUA');
local workflow = require "moongate.workflow"
return workflow.define {
  name = "charge", summary = "something that must not be done twice",
  run = function(run)
    run:step("charge", function() return run.gateway:post_path("/api/v2/things", { amount = 1 }).http_status end)
    return { charged = true }
  end,
}
LUA

subtest 'a request that must not be sent twice stops the run' => sub {
    fault('latency=700,path=*/things', 'status=201,path=*/things');
    my $p = begin({}, '--run-id', 'charge', 'run', 'charge.lua');
    ok(sent(qr/unknown/, 1), 'under way');
    kill KILL => $p->{pid};
    ended($p);
    my $r = moon({ env => $sim->{env} }, 'runs', 'resume', 'charge');
    is($r->{status}, 6, 'exit status 6') or diag($r->{err});
    like($r->{err}, qr{its outcome is unknown.*POST /api/v2/things.*--redo}s, 'says what to look at');
    is(requests(qr/unknown/), 1, 'nothing was sent');
    is(run_of('charge')->{status}, 'stopped', 'stopped');
    $r = moon({ env => $sim->{env} }, 'runs', 'resume', 'charge', '--redo', 'POST /api/v2/things');
    is($r->{status}, 0, '--redo sends it again') or diag($r->{err});
    is(requests(qr/unknown/), 2);
    fault();
};

# ---- scripts that change ----

write_file('steps.lua', my $steps = <<'LUA');
local workflow = require "moongate.workflow"
return workflow.define {
  name = "steps", summary = "steps",
  flags = { { "fail", "fail at the end", type = "boolean" } },
  run = function(run, args)
    run:step("read", function() return 1 end)
    run:step("put_index", function() return 2 end)
    if args.fail then error("the end") end
    return { ok = true }
  end,
}
LUA

subtest 'a script that changed goes on only if the journal fits' => sub {
    is(moon({ env => $sim->{env} }, '--run-id', 'steps', 'run', 'steps.lua', '--fail')->{status}, 1);
    write_file('steps.lua', $steps =~ s/put_index/get_index/r);
    my $r = moon({ env => $sim->{env} }, 'runs', 'resume', 'steps');
    is($r->{status}, 8, 'exit status 8');
    like($r->{err}, qr/journal\[2\] put_index  steps\.lua:7\n\s+script\[2\] get_index  \S*steps\.lua:7/, 'both sides are shown') or diag($r->{err});
    my $checked = moon('runs', 'check', 'steps.lua', 'steps');
    is($checked->{status}, 8, 'runs check: 8');
    like($checked->{out}, qr/journal\[2\] put_index.*\n.*script\[2\] get_index/, 'and says where');
    write_file('steps.lua', $steps =~ s/error\("the end"\)/run:step("more", function() end)/r);
    is(moon('runs', 'check', 'steps.lua', 'steps')->{status}, 0, 'one that does more behind it fits');
    $r = moon({ env => $sim->{env} }, 'runs', 'resume', 'steps');
    is($r->{status}, 0, 'and goes on') or diag($r->{err});
    like($r->{err}, qr/its script has changed since/, 'with a word');
};

subtest 'runs check goes through whole runs of the bundled workflows, with nothing to talk to' => sub {
    for my $case ([ 'whole1', $example ], [ 'deploy-index' ], [ 'promote-template' ], [ 'configure-model' ], [ 'register-model' ]) {
        my ($id, $script) = @$case > 1 ? @$case : ((grep { $_->{workflow} eq $case->[0] && $_->{id} =~ /^whole/ } @{ json(moon('--json', 'runs', 'list')->{out})->{runs} })[0]{id}, $case->[0]);
        write_file("$id.export.json", moon('runs', 'export', $id)->{out});
        my $r = moon({ dir => '/' }, '--json', 'runs', 'check', $script, "$dir/$id.export.json");
        my $verdict = json($r->{out})->{runs}[0];
        is($r->{status}, 0, "$script: fits") or diag($r->{out});
        cmp_ok($verdict->{checked}, '==', $verdict->{records}, 'all of it') or diag($r->{out});
    }
};

# ---- the rest ----

subtest 'list, show, fork, cancel, prune' => sub {
    my $list = json(moon('--json', 'runs', 'list', '--status', 'interrupted')->{out})->{runs};
    ok((grep { $_->{id} eq 'sleeper' } @$list), 'list');
    like(moon('runs', 'show', 'build-17')->{out}, qr/^build-17  done .*\n.*put the index  done/s, 'show');
    fault();
    my $r = moon({ env => $sim->{env} }, 'runs', 'fork', 'build-17', '--from', 'ask the model');
    is($r->{status}, 0, 'fork') or diag($r->{err});
    is(requests(qr/^PUT/),            0, 'what came before is not done again');
    is(requests(qr{^POST .*prompts}), 1, 'what comes after is');
    is(moon('runs', 'cancel', 'sleeper')->{status}, 0, 'cancel');
    is(moon({ env => $sim->{env} }, 'runs', 'resume', 'sleeper')->{status}, 5, 'a run that was cancelled is not taken up');
    is(moon('runs', 'prune', '--id', 'sleeper')->{status}, 0, 'prune');
    is(moon('runs', 'show', 'sleeper')->{status}, 3, 'forgotten');
    is(moon('runs', 'prune')->{status}, 0);
    is(moon('runs', 'show', 'build-17')->{status}, 0, 'those of late are kept');
};

subtest 'a flag that a variable gave keeps its value; a credential is asked for again' => sub {
    write_file('env.lua', <<'LUA');
local workflow = require "moongate.workflow"
return workflow.define {
  name = "env", summary = "flags from the environment",
  flags = { { "shade", "a color", env = "THE_COLOR" }, { "pass", "a password", env = "THE_TOKEN" } },
  run = function(run, args)
    local before = run:step("keep", function() return args.shade end)
    if args.pass ~= "right-token" then error("the end") end
    return { before = before, color = args.shade }
  end,
}
LUA
    my @allow = ('--allow-env', 'THE_COLOR', '--allow-env', 'THE_TOKEN');
    my $r = moon({ env => { %{ $sim->{env} }, THE_COLOR => 'green', THE_TOKEN => 'wrong-token' } }, @allow, '--run-id', 'env', 'run', 'env.lua');
    is($r->{status}, 1);
    like($r->{err}, qr/^To resume: moongate --allow-env THE_COLOR --allow-env THE_TOKEN runs resume env$/m, 'what was allowed is in the command');
    mkdir 'elsewhere';
    $r = moon({ dir => 'elsewhere', env => { %{ $sim->{env} }, THE_COLOR => 'red', THE_TOKEN => 'right-token' } }, @allow, '--json', 'runs', 'resume', 'env');
    is_deeply(json($r->{out}), { before => 'green', color => 'green' }, 'from another folder, too') or diag($r->{err});
    is(index(moon('runs', 'export', 'env')->{out}, '-token'), -1, 'the token is not kept');
};

subtest 'credentials are nowhere in the store' => sub {
    my $secret = $sim->{env}{GENESYSCLOUD_OAUTHCLIENT_SECRET};
    my $text   = join '', map { read_file($_) } glob "$dir/.moongate/*";
    ok(length $text > 10000, 'there is a store');
    is(index($text, $secret), -1, 'without the secret');
    is(index($text, 'Bearer '), -1, 'or a token');
};

subtest 'ten thousand steps are taken up in under a second' => sub {
    write_file('many.lua', <<'LUA');
local task, workflow = require "moongate.task", require "moongate.workflow"
return workflow.define {
  name = "many", summary = "many steps",
  run = function(run)
    local list = {}
    for i = 1, 100 do list[i] = i end
    assert(task.map(list, 100, function()
      for i = 1, 100 do run:step("s", function() return { i = i } end) end
      return true
    end))
    error("the end")
  end,
}
LUA
    is(moon({ env => $sim->{env} }, '--run-id', 'many', 'run', 'many.lua')->{status}, 1);
    my $r = moon({ env => $sim->{env} }, 'runs', 'resume', 'many');
    like($r->{err}, qr/10000 recorded steps reused/);
    cmp_ok($r->{elapsed}, '<', $ENV{MOONGATE_SLOW} ? 10 : 1, "it took $r->{elapsed} s");
};

done_testing;
