#!/usr/bin/env perl
# Metrics and traces of the whole program: the file for node_exporter, the simulator's /metrics, both judged by promtool; a collector's posts.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Moon;
use Test::More;

my $has_promtool = !system('promtool --version >/dev/null 2>&1');

sub promtool {
    my ($text, $what) = @_;
  SKIP: {
        skip 'promtool (Debian: prometheus) is not installed', 2 unless $has_promtool;
        my $r = run({ stdin => $text }, 'promtool', 'check', 'metrics');
        is($r->{status}, 0, "promtool accepts $what");
        is("$r->{out}$r->{err}", '', 'and has nothing to remark');
    }
}

# ---- the file ----
index_file('orders');
my $r = moon('--sim', 'deploy-index', 'orders.json', '--metrics-file', 'run.prom');
is($r->{status}, 0, 'a run with --metrics-file') or diag($r->{err});
my $text = read_file('run.prom');
promtool($text, 'the file');
is((stat 'run.prom')[2] & 07777, 0644, 'others may read it');
is_deeply([glob '*.prom*'], ['run.prom'], 'nothing else is left of writing it');
like($text, qr/^moongate_writes_total\{job="\w+",kind="index",status="created"\} 1$/m, 'the write is counted');
like($text, qr/^moongate_write_duration_seconds_bucket\{job="\w+",kind="index",status="created",le="\+Inf"\} 1$/m, 'and timed');
like($text, qr/^moongate_index_status\{job="\w+",vector_store_id="sim-store",index_id="orders",status="\w+"\} 1$/m, 'the index is there');
like($text, qr/^moongate_index_last_update_timestamp_seconds\{job="\w+",vector_store_id="sim-store",index_id="orders"\} [\d.]+$/m, 'and its update');
like($text, qr/^moongate_http_attempts_total\{job="\w+",client="gateway",method="PUT",status="2xx"\} 1$/m, 'requests are counted');
like($text, qr/^moongate_run_exit_status\{job="\w+",workflow="deploy-index"\} 0$/m, 'the run did its job');

$r = moon({ env => { MOONGATE_METRICS_FILE => 'failed.prom' } }, '--sim', '--sim-fault', 'status=403,method=PUT', 'deploy-index', 'orders.json');
is($r->{status}, 4, 'a run that fails');
$text = read_file('failed.prom');
promtool($text, 'its file');
like($text, qr/^moongate_run_exit_status\{job="\w+",workflow="deploy-index"\} 4$/m, 'it says so');
like($text, qr/^moongate_writes_total\{job="\w+",kind="index",status="failed"\} 1$/m, 'the write that failed is counted');

write_file('bad.json', '{}');
$r = moon('--sim', 'deploy-index', 'bad.json', '--metrics-file', 'raised.prom');
is($r->{status}, 3, 'a run that ends before it begins');
like(read_file('raised.prom'), qr/^moongate_run_exit_status\{job="\w+",workflow="deploy-index"\} 3$/m, 'leaves its file, too');

$r = moon('--sim', '--json', 'deploy-index', 'orders.json', '--metrics-file', 'no/such/folder.prom');
is($r->{status}, 1, 'a file that can not be written fails the run');
like($r->{err}, qr{the metrics could not be written to no/such/folder\.prom}, 'which says so');
is(json($r->{out})->{summary}{created}, 1, 'and has its result all the same');

# ---- table and JSON ----
$r = moon('--sim', 'deploy-index', 'orders.json', '--metrics');
like($r->{err}, qr/^writes_total\{kind=index,status=created\} +1$/m, 'a table on standard error');
like($r->{err}, qr/^ +count +avg +p50 +p95 +p99 +min +max$/m, 'with latencies');
unlike($r->{out}, qr/writes_total/, 'and not on standard output');
$r = moon('--sim', '--json', 'deploy-index', 'orders.json', '--metrics');
is(json($r->{out})->{metrics}{moongate_writes_total}{series}[0]{value}, 1, 'in the document of --json');
is($r->{err}, '', 'and then nowhere else');
$r = moon('--sim', '--json', 'deploy-index', 'bad.json', '--metrics');
is(json($r->{out})->{metrics}{moongate_run_exit_status}{series}[0]{value}, 3, 'also in that of a failure');

$r = moon('--sim', '--json', 'configure-model', "$FindBin::Bin/../../scripts/examples/model_configuration.json", '--metrics');
my $both = json($r->{out})->{metrics};
is($both->{updates}, 1, 'a job keeps what it says of itself under that name');
is($both->{moongate_run_exit_status}{series}[0]{value}, 0, 'and the metrics are beside it');

# ---- the simulator ----
my $sim = start_sim('--fault', 'status=503,method=GET,times=1');
is(moon({ env => $sim->{env} }, 'deploy-index', 'orders.json')->{status}, 0, 'a run against a simulator of its own');
my $answer = HTTP::Tiny->new(timeout => 10)->get("$sim->{url}/metrics");
is($answer->{headers}{'content-type'}, 'text/plain; version=0.0.4; charset=utf-8', '/metrics');
promtool($answer->{content}, 'the simulator\'s');
like($answer->{content}, qr/^moongate_sim_requests_total\{method="PUT",route="\S+\{indexId\}",status="201"\} 1$/m, 'it counts requests');
like($answer->{content}, qr/^moongate_sim_faults_total\{kind="status"\} 1$/m, 'and faults');

# ---- traces ----
write_file('collector.lua', <<'LUA');
local httpd, fs, task = require "moongate.httpd", require "moongate.fs", require "moongate.task"
local n = 0
local server = assert(httpd.serve { handler = function(req)
  n = n + 1
  assert(fs.write(("post-%02d.json"):format(n), req.body))
  assert(fs.write("headers", req.headers["x-api-key"] or ""))
  return { status = 200, json = { a = nil } }
end })
print("ready " .. server.url)
task.sleep(600)
LUA
my $collector = start(qr/^ready (\S+)$/m, $moongate, 'run', '--allow-write=.', 'collector.lua') or BAIL_OUT('no collector');
my %otel = (OTEL_EXPORTER_OTLP_ENDPOINT => $collector->{ready}, OTEL_EXPORTER_OTLP_HEADERS => 'x-api-key=canary%2D6b1f,empty=',
    OTEL_SERVICE_NAME => 'nightly', TRACEPARENT => '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01');
$r = moon({ env => { %{ $sim->{env} }, %otel } }, '-vv', 'deploy-index', 'orders.json');
is($r->{status}, 0, 'a traced run') or diag($r->{err});
is(read_file('headers'), 'canary-6b1f', 'the collector gets its header');
unlike("$r->{out}$r->{err}", qr/canary/, 'nobody else does');
my (%span, %resource);
for my $file (glob 'post-*.json') {
    my $body = read_file($file);
    unlike($body, qr/\Q$sim->{env}{GENESYSCLOUD_OAUTHCLIENT_SECRET}\E|canary|[Bb]earer/, 'no secret in what it is sent');
    for my $rs (@{ json($body)->{resourceSpans} }) {
        $resource{ $_->{key} } = $_->{value}{stringValue} for @{ $rs->{resource}{attributes} };
        $span{ $_->{name} } = $_ for map { @{ $_->{spans} } } @{ $rs->{scopeSpans} };
    }
}
is($resource{'service.name'}, 'nightly', 'the service has its name');
is($span{'run deploy-index'}{parentSpanId}, 'b7ad6b7169203331', 'the run is a child of TRACEPARENT');
is($_->{traceId}, '0af7651916cd43dd8448eb211c80319c', "$_->{name}: of its trace") for values %span;
ok($span{'step put'}, 'a step is a span');
is($span{PUT} // 'none', 'none', 'an unchanged index is not written');
is($span{GET}{parentSpanId}, $span{'run deploy-index'}{spanId}, 'a request is a span below');
is($span{GET}{kind}, 3, 'of kind client');
my ($status) = grep { $_->{key} eq 'moongate.exit_status' } @{ $span{'run deploy-index'}{attributes} };
is($status->{value}{intValue}, '0', 'the exit status is an integer as a string');

unlink glob 'post-*.json';
write_file('model.json', <<"JSON");
{"name": "all-wrong", "endpoint_url": "$sim->{url}", "auth_credential_id": "c", "model_architecture": "openai",
 "max_requests_per_minute": 1, "max_tokens_per_minute": 1}
JSON
is(moon({ env => { %{ $sim->{env} }, %otel } }, 'register-model', 'model.json')->{status}, 8, 'a traced run whose verification fails');
my %failed = map { $_->{name} => $_ } grep { $_->{status}{code} } map { @{ $_->{spans} } } map { @{ $_->{scopeSpans} } }
    map { @{ json(read_file($_))->{resourceSpans} } } glob 'post-*.json';
my $type = sub { (map { $_->{value}{stringValue} } grep { $_->{key} eq 'error.type' } @{ $failed{ $_[0] }{attributes} })[0] };
is($type->('chat all-wrong'), 'verify', 'its call of the model is a failed span');
is($type->('run register-model'), 'exit_8', 'and so is the run, though nothing was raised');
$r = moon({ env => $sim->{env} }, 'register-model', 'model.json', '--test-model', 'sim-small', '--metrics-file', 'again.prom');
like(read_file('again.prom'), qr/^moongate_model_registrations_total\{job="\w+",status="unchanged"\} 1$/m, 'what was registered before does not count as registered');

unlink glob 'post-*.json';
write_file('hook.lua', qq(return { webhooks = { chat = { url = "$sim->{url}/__sim/webhooks/T0-tweety-path?sig=tweety-signature" } } }));
$r = moon({ env => { %{ $sim->{env} }, %otel } }, '-vv', '--config', 'hook.lua', 'deploy-index', index_file('told'));
is($r->{status}, 0, 'a webhook whose URL is its key') or diag($r->{err});
is(sim_get($sim, 'state')->{receiver}{'T0-tweety-path'}{received}, 1, 'is told');
unlike("$r->{out}$r->{err}" . join('', map { read_file($_) } glob 'post-*.json'), qr/tweety/, 'path and query are in no log and no trace');

$r = moon({ env => { %{ $sim->{env} }, OTEL_EXPORTER_OTLP_ENDPOINT => 'http://127.0.0.1:1' } }, 'deploy-index', 'orders.json');
is($r->{status}, 0, 'a collector that is down fails nothing');
like($r->{err}, qr/traces: \d+ spans could not be sent/, 'and is told of');
done_testing;
