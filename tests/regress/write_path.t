#!/usr/bin/env perl
# A script can't write to the gateway past the dry run and the audit log, and its own audit events say that they are a script's.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../e2e/lib";
use Moon;
use Test::More;

my $sim = start_sim('--rate-limit', 0);
my $path = '/api/v2/ai/vectorstores/store-1/indexes';
my $state = 0;

# Runs Lua text with a state of its own -> {status, out, err, lines of the audit log, writes that reached the gateway}
sub script {
    my ($flags, $text) = @_;
    my $folder = 'st-' . ++$state;
    write_file('s.lua', $text);
    my $before = writes();
    my $r = moon({ env => { %{ $sim->{env} }, MOONGATE_STATE => $folder }, seconds => 30 }, @$flags, 'run', 's.lua');
    $r->{audit} = [ map { json($_) } -e "$folder/audit.jsonl" ? slurp_lines("$folder/audit.jsonl") : () ];
    $r->{writes} = writes() - $before;
    return $r;
}
sub writes { my $r = sim_get($sim, "stats")->{routes}; my $n = 0; $n += $r->{$_}{count} for grep { !m{^GET |^POST .*oauth} } keys %$r; $n }

my $config = 'local function config(id) return { indexId = id, dimensions = 16, similarityMetric = "cosine", embeddingFormat = "float32" } end';
my $workflow = sub { "$config\nreturn require'moongate.workflow'.define { name = 'w', summary = 's', run = function(run)\n$_[0]\nend }" };
my $raw = 'local http, auth = require "moongate.http", require "moongate.auth"
local c = assert(http.client { base_url = auth.info().api_url, auth = assert(auth.gateway()) })';

for my $flags ([], ['--dry-run'], ['--allow-all']) {
    for my $call (
        qq{c:put("$path/raw", { json = config "raw" })},
        qq{c:post("/api/v2/ai/llm-gateway/models", { json = {} })},
        qq{c:patch("$path/raw", { json = config "raw" })},
        qq{c:delete("$path/raw")},
        qq{c:get("$path/raw", { headers = { ["X-HTTP-Method-Override"] = "PUT" } })},
        qq{c:get("$path/raw?_method=DELETE")},
        qq{c:get("$path/raw", { query = { ["_Method"] = "put" } })},
        qq{c:get("$path/raw?a=1&%5fmethod=PUT")},
        qq{c:get("$path/raw?_HttpMethod=PATCH")},
        qq{c:get("$path/raw", { headers = { X_HTTP_Method_Override = "PUT" } })},
        qq{c:request { method = "PUT", path = "$path/raw", json = config "raw" }},
        qq{c:put(auth.info().api_url .. "$path/raw", { json = config "raw" })},
        qq{require "moongate.task".spawn(function() return c:put("$path/raw", { json = config "raw" }) end):join()},
        qq{http.client { auth = auth.gateway() }:put(auth.info().api_url .. "$path/raw", { json = config "raw" })},
      )
    {
        my $r = script($flags, $workflow->("$raw\nlocal r, e = $call\nassert(r == nil and e.code == 'denied', tostring(e))"));
        is($r->{status}, 0, "@$flags $call: refused") or diag($r->{err});
        is($r->{writes}, 0, '  and not sent');
    }
    my $r = script($flags, $workflow->(qq{$raw\nlocal r, e = c:get("$path/none")\nassert(r == nil and e.status == 404, tostring(e))}));
    is($r->{status}, 0, "@$flags reads go out") or diag($r->{err});
}

subtest 'the gateway in a dry run' => sub {
    for my $call (
        qq{gw:put_path("$path/dry", config "dry", { dry_run = false })},
        qq{gw:write("index", { vectorStoreId = "store-1", indexId = "dry" }, { content = config "dry", dry_run = false, queue = true })},
        qq{gw:delete_path("$path/dry", { dry_run = false })},
        qq{gw:request { method = "POST", path = "/api/v2/ai/llm-gateway/models", json = {}, read = true }},
        qq{require "moongate.router".open { gateway = gw, model = "sim-small" }:route "Say hello"},
      )
    {
        for my $open ('run.gateway', qq{require "moongate.gateway".open { client = c, dry_run = false }}) {
            my $r = script(['--dry-run'], $workflow->("$raw\nlocal gw = $open\nlocal ok, e = pcall(function() return $call end)\n"
                  . 'assert(ok and e.status == "planned" or not ok and e.code == "denied", tostring(e))'));
            is($r->{status}, 0, "$call of $open") or diag($r->{err});
            is($r->{writes}, 0, '  sends nothing');
        }
    }
};

subtest 'the gateway of a script' => sub {
    for my $option ('audit = { intent = function() end }', 'leases = false', 'journal = {}', 'store = {}') {
        my $r = script([], $workflow->("$raw\nreturn { require 'moongate.gateway'.open { client = c, $option } }"));
        isnt($r->{status}, 0, $option);
        like($r->{err}, qr/is for tests/, '  is refused');
    }
    my $r = script([], $workflow->(qq{run.gateway:request { method = "POST", path = "/api/v2/ai/llm-gateway/models", json = {}, read = true }}));
    is($r->{writes}, 1, 'a POST that says it reads is sent');
    is_deeply([ map { "$_->{phase} $_->{action}" } @{ $r->{audit} } ], [ 'intent declared_read', 'outcome declared_read' ], '  and audited');
    for my $call (
        qq{get_path("$path/x", { headers = { ["X-HTTP-Method-Override"] = "DELETE" } })},
        qq{get_path("$path/x", { query = { _method = "DELETE" } })},
        qq{request { path = "$path/x?_method=PUT" }},
        qq{request { method = "POST", path = "$path/x", json = {}, read = true, headers = { ["X-HTTP-Method"] = "PUT" } }},
        qq{post_path("$path/x", {}, { headers = { ["X-Method-Override"] = "DELETE" } })},
      )
    {
        $r = script([], $workflow->(qq{run.gateway:$call}));
        isnt($r->{status}, 0, "run.gateway:$call");
        like($r->{err}, qr/names another method/, '  is refused');
        is($r->{writes}, 0, '  and not sent');
    }
    $r = script([], $workflow->(qq{assert(run.gateway:request { path = "$path?method=x&methods=_method&x-http=1" }.status == 200)}));
    is($r->{status}, 0, 'other names in a query are not taken for a method') or diag($r->{err});
    for my $method (qw(PUT PATCH DELETE)) {
        $r = script([], $workflow->(qq{run.gateway:request { method = "$method", path = "$path/x", read = true }}));
        is($r->{writes}, 0, "$method can't say so");
    }
    $r = script([], $workflow->(qq{run.gateway:put_path("$path/facts", config "facts", {
        details = { run = "nightly-9", record = 77, http_status = 599, status = "never", error_code = "none", source = "x", colour = "blue" },
        outcome_details = function() return { status = "never", http_status = 599, run = "nightly-9" } end })}));
    is($r->{status}, 0, 'details of a write') or diag($r->{err});
    my ($intent, $outcome) = @{ $r->{audit} };
    is($intent->{colour}, 'blue', '  are kept');
    isnt($_->{run}, 'nightly-9', '  but no facts') for $intent, $outcome;
    is_deeply([ @$outcome{qw(status http_status)} ], [ 'created', 201 ], '  nor the outcome');
};

subtest 'events of a script' => sub {
    my $r = script([], 'local audit = require "moongate.audit"
local e = assert(audit.intent { action = "index_write", kind = "index", method = "PUT", path = "/never", run = "nightly-9", source = "gateway", stage = "x" })
assert(e:outcome { status = "created", http_status = 201, run = "nightly-9", action = "permission_denied" })
assert(audit.event { action = "lease_broken", simulated = false })
assert(not audit.event { action = "x", phase = "intent" })
assert(not audit.event { action = "x", seq = 1 })
return "done"');
    is($r->{status}, 0, 'are written') or diag($r->{err});
    is(scalar(@{ $r->{audit} }), 3, 'three');
    is_deeply([ map { "$_->{phase} $_->{action} $_->{source}" } @{ $r->{audit} } ],
        [ 'event script.index_write script', 'event script.permission_denied script', 'event script.lease_broken script' ], 'as events, with their own actions');
    is(scalar(grep { ($_->{run} // '') eq 'nightly-9' } @{ $r->{audit} }), 0, 'of no other run');
    $r = script([], $workflow->('run.audit.event { action = "mine" } run.gateway.audit.event { action = "mine", run = "nightly-9" } assert(run.audit.intent { action = "mine" })'));
    is_deeply([ map { "$_->{phase} $_->{action} $_->{source}" } @{ $r->{audit} } ], [ ('event script.mine script') x 3 ], 'by every way');
    is(scalar(grep { ($_->{run} // '') eq 'nightly-9' } @{ $r->{audit} }), 0, 'of no other run');
    $r = script([ '--max-time', '1s' ], 'local audit, task = require "moongate.audit", require "moongate.task"
local list = {}
for i = 1, 8 do list[i] = task.spawn(function() for _ = 1, 1e6 do assert(audit.event { action = "x", pad = ("y"):rep(500000) }) end end) end
for _, one in ipairs(list) do one:join() end');
    cmp_ok(-s "st-$state/audit.jsonl", '<', 12e6, 'many tasks do not fill the disk');
};

done_testing;
