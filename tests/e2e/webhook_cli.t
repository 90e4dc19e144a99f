#!/usr/bin/env perl
# Whole deliveries, with libraries of other authors at the other end: `webhook send` and a workflow to a receiver that they verify,
# their messages to `webhook listen` and `webhook verify`.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Encode ();
use MIME::Base64 qw(encode_base64);
use Moon;
use Test::More;
need_peers();

my $secret = 'whsec_' . encode_base64(pack('C*', map { $_ * 5 % 256 } 1 .. 32), '');
my $js = JSON::PP->new->canonical;
my $peer = "$root/tests/e2e/peers/webhook.mjs";
my $receiver = start({ env => { HOOK_SECRET => $secret } }, qr/^ready (\{.*\})$/m, 'node', $peer, 'receive') or BAIL_OUT('no receiver');
my $url = json($receiver->{ready})->{url};
sub got { map { json($_) } read_file($receiver->{log}) =~ /^got (\{.*\})$/mg }
my %env = (HOOK_SECRET => $secret);
my @send = ('--secret-env', 'HOOK_SECRET');

# ours, verified by theirs
for my $case (['standardwebhooks', 'standard'], ['svix', 'standard'], ['mlflow', 'mlflow']) {
    my ($lib, $profile) = @$case;
    my $r = moon({ env => \%env }, '--json', 'webhook', 'send', "$url/$lib/204", @send, '--webhook-profile', $profile, '--id', "one-$lib",
        '--event', 'llm_config_change', '--data', "{\"text\":\"\x{c3}\x{a4}\",\"list\":[]}");
    is($r->{status}, 0, "$lib: sent") or diag($r->{err});
    is(json($r->{out} || '{}')->{id}, "one-$lib", 'the result names it');
    my ($d) = grep { $_->{id} eq "one-$lib" } got();
    ok($d->{ok}, "$lib verifies it") or diag($d->{error});
    my $body = json(Encode::encode_utf8($d->{body}));
    is_deeply([ @$body{qw(type data)} ], [ 'llm_config_change', { text => "\x{e4}", list => [] } ], 'the envelope');
    like($body->{timestamp}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, 'its time');
}

# Every attempt verifies, one id.
my $r = moon({ env => \%env }, 'webhook', 'send', "$url/svix/503,429,200", @send, '--id', 'again');
is($r->{status}, 0, 'delivered at the third attempt') or diag($r->{err});
like($r->{out}, qr/^delivered: again, status 200, 3 attempts, signed$/, 'and says so');
my @tries = grep { $_->{id} eq 'again' } got();
is(scalar(grep { $_->{ok} } @tries), 3, 'each of them verifies');
is(scalar(keys %{ { map { $_->{body} => 1 } @tries } }), 1, 'one body');

# What is not delivered: why, and with which status.
for my $case ([ 302, 1, qr/redirects are not followed/ ], [ 410, 1, qr/answered 410/ ], [ 401, 4, qr/same secret/ ], [ 422, 3, qr/422/ ]) {
    my ($status, $exit, $says) = @$case;
    $r = moon({ env => \%env }, 'webhook', 'send', "$url/svix/$status", @send, '--id', "no-$status");
    is($r->{status}, $exit, "$status: exit status $exit");
    like($r->{err}, $says, 'and why');
    is(scalar(grep { $_->{id} eq "no-$status" } got()), 1, 'it is not tried again');
}
$r = moon({ env => \%env }, '--deadline', '1s', 'webhook', 'send', 'http://127.0.0.1:1', @send);
is($r->{status}, 6, 'nobody there: exit status 6');
unlike($r->{err} . $r->{out}, qr/\Q$secret\E/, 'and no secret');
$r = moon({}, 'webhook', 'send', $url, '--secret', $secret);
is($r->{status}, 2, 'a secret is not taken from the command line');
unlike($r->{err}, qr/\Q$secret\E/, 'nor repeated');
like(read_file("$dir/state/moongate/audit.jsonl"), qr/"action":"webhook_delivery".*"message_id":"no-410".*"status":"undelivered"/, 'the audit log has it');

# The key from a file, and from a descriptor.
write_file('hook.key', "$secret\n");
chmod 0644, 'hook.key';
$r = moon('webhook', 'send', "$url/svix/204", '--secret-file', 'hook.key');
is($r->{status}, 7, 'a key file that others may read is refused');
chmod 0600, 'hook.key';
is(moon('webhook', 'send', "$url/svix/204", '--secret-file', 'hook.key', '--id', 'file')->{status}, 0, 'one that nobody else reads is taken');
is(run('sh', '-c', "cat hook.key | $moongate webhook send $url/svix/204 --secret-file /dev/fd/3 --id pipe 3<&0")->{status}, 0, 'and so is a pipe');
ok($_->{ok}, "$_->{id}: verified") for grep { $_->{id} =~ /^(?:file|pipe)$/ } got();

# A workflow's webhooks: delivered, in MLflow's manner, gone, refused; the job succeeds, and says what was not delivered.
mkdir 'project';
write_file('project/moongate.lua', <<"LUA");
return { webhooks = {
  governance = { url = "$url/svix/503,204", secret = secret "HOOK_SECRET", headers = { ["X-Audit-Source"] = "moongate" } },
  mlflow     = { url = "$url/mlflow/200", secret = secret "HOOK_SECRET", profile = "mlflow" },
  gone       = { url = "$url/svix/410", secret = secret "HOOK_SECRET" },
  other      = { url = "$url/svix/204", events = { "something_else" } },
} }
LUA
write_file("project/$_.json", qq({"indexId":"$_","dimensions":8,"similarityMetric":"cosine","embeddingFormat":"float32"})) for qw(a b);
$r = moon({ env => \%env, dir => 'project' }, '--sim', '--json', 'deploy-index', '--vector-store', 'v', '--concurrency', 1, 'a.json', 'b.json');
is($r->{status}, 0, 'the job is done') or diag($r->{err});
my $result = json($r->{out} || '{}');
my %notes = map { $_->{name} => $_ } @{ $result->{results}[1]{webhooks} };
is_deeply([ sort keys %notes ], [qw(gone governance mlflow)], 'who wants the event is told');
ok($notes{governance}{delivered} && $notes{mlflow}{delivered}, 'two were');
is_deeply([ @{ $notes{gone} }{qw(attempts disabled)} ], [ 0, JSON::PP::true() ], 'one that is gone is asked once a run');
is($result->{undelivered_webhooks}{total}, 2, 'the result counts what was not delivered');
my @told = grep { $_->{body} =~ /"index_update"/ } got();
is(scalar(grep { $_->{ok} } @told), scalar @told, 'all that came verifies: ' . @told);
is(scalar(grep { ($_->{headers}{'x-audit-source'} // '') eq 'moongate' } @told), 4, 'with its own header');

# Under --sim nobody beyond this machine hears of what never happened.
mkdir 'far';
write_file('far/moongate.lua', <<'LUA');
return { webhooks = {
  far = { url = "https://hooks.example.com/llm", secret = secret "HOOK_SECRET" },
  ["far away"] = { url = "https://hooks.example.com/llm", secret = secret "HOOK_SECRET", profile = "mlflow" },
} }
LUA
$r = moon({ env => \%env, dir => 'far' }, '--sim', '--json', 'deploy-index', '--vector-store', 'v', '../project/a.json');
is_deeply([ map { "$_->{name} $_->{status}" } @{ json($r->{out} || '{}')->{results}[0]{webhooks} } ], [ 'far 204', 'far away 204' ],
    'the simulated receiver takes it, and verifies it') or diag($r->{err});

# doctor
$r = moon({ env => \%env, dir => 'far' }, '--sim', 'doctor');
like($r->{out}, qr/^ok +webhooks +signed: far, far away \(mlflow\)$/m, 'doctor lists them');
is(moon({ dir => 'far' }, '--sim', 'doctor')->{status}, 3, 'a secret that is not set fails it');
write_file('far/moongate.lua', 'return { webhooks = { a = { url = "http://hooks.example.com" } } }');
my $unsafe = moon({ dir => 'far' }, '--sim', 'doctor')->{out};
like($unsafe, qr/^FAIL +webhooks +a goes over plain HTTP to another machine/m, 'and so is what is unsafe');
like($unsafe, qr/^warn +webhooks +a is not signed$/m, 'and what nobody can verify');
write_file('far/moongate.lua', <<'LUA');
return { webhooks = { a = { url = "https://h.example", profile = "mlfow", header = {} , headers = { ["Webhook-Id"] = "x", ["a b"] = "x", ok = 1 } } } }
LUA
$r = moon({ dir => 'far' }, 'check', 'moongate.lua');
is($r->{status}, 3, 'a project file with faults') or diag($r->{err});
like($r->{out} . $r->{err}, $_, "all at once: $_") for qr/did you mean 'mlflow'/, qr/did you mean 'headers'/, qr/"Webhook-Id"/, qr/"a b"/, qr/headers\.ok/;

# theirs, to ours
my $now = time;
my @ask = map { { lib => $_->[0], sign => { secret => $secret, id => "in-$_->[0]", timestamp => $now - $_->[1], body => '{"type":"t","data":{}}' } } }
    ['standardwebhooks', 0], ['svix', 0], ['mlflow', 0], ['svix', 400];
my @signed = map { json($_)->{headers} } split /\n/, run({ stdin => join '', map { $js->encode($_) . "\n" } @ask }, 'node', $peer)->{out};
for my $i (0 .. $#ask) {
    my $old = $i == 3;
    my @headers = map { ('--header', "$_: $signed[$i]{$_}") } sort keys %{ $signed[$i] };
    $r = moon({ env => \%env, stdin => $ask[$i]{sign}{body} }, 'webhook', 'verify', @send, @headers);
    is($r->{status}, $old ? 8 : 0, "verify: $ask[$i]{lib}" . ($old ? ', too old' : '')) or diag($r->{err});
    like($r->{err}, qr/4\d\d s old, 300 are allowed/, 'and why') if $old;
    is(moon({ env => \%env, stdin => "$ask[$i]{sign}{body} " }, 'webhook', 'verify', @send, @headers, '-')->{status}, 8, 'another body');
}

my $listen = start({ env => \%env }, qr{^listening on (http://\S+)}m, $moongate, 'webhook', 'listen', @send, '--count', 5) or BAIL_OUT('no listener');
my $post = write_file('post.mjs', <<'JS');
import { readFileSync } from 'node:fs';
for (const { url, headers, body } of JSON.parse(readFileSync('posts.json', 'utf8'))) {
  const res = await fetch(url, { method: 'POST', headers, body });
  console.log(res.status);
}
JS
my $plain = { url => $listen->{ready}, headers => {}, body => "{\"type\":\"\\u001b[31mred\"}" };
write_file('posts.json', $js->encode([ (map { { url => $listen->{ready}, headers => $signed[$_], body => $ask[$_]{sign}{body} } } 0, 1, 2, 0), $plain ]));
is(run('node', $post)->{out}, "204\n204\n204\n204\n401\n", 'listen answers 204, and 401 to what does not verify');
waitpid $listen->{pid}, 0;
is($? >> 8, 8, 'and ends with 8 because of it');
my @lines = grep { !/^listening/ } slurp_lines($listen->{log});
is(scalar @lines, 5, 'a line each') or diag(join "\n", @lines);
like($lines[$_], qr/  t  in-$ask[$_]{lib}  verified/, "$ask[$_]{lib}") for 0 .. 2;
like($lines[3], qr/repeated$/, 'the same again');
like($lines[4], qr/\\x1b\[31mred  -  NOT VERIFIED: no webhook-id header/, 'and what is forged, made harmless');
$listen = start({ env => \%env }, qr{^listening on (http://\S+)}m, $moongate, '--json', 'webhook', 'listen', '--status', 503) or BAIL_OUT('no listener');
write_file('posts.json', $js->encode([ { url => $listen->{ready}, headers => {}, body => '{"type":"x"}' } ]));
is(run('node', $post)->{out}, "503\n", 'listen --status');
kill INT => $listen->{pid};
waitpid $listen->{pid}, 0;
is($? >> 8, 0, 'Ctrl-C is its end');
my ($document) = grep { /^\{/ } slurp_lines($listen->{log});
is(json($document // '{}')->{deliveries}[0]{event}, 'x', 'with --json one document, at the end');

done_testing;
