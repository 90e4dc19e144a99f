#!/usr/bin/env perl
# No secret is kept: what a receiver or an endpoint repeats of it is blanked in the outbox, the journal and the audit log. And a script can't blank
# moongate's own lines by calling their words secret.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../e2e/lib";
use MIME::Base64 qw(encode_base64);
use Moon;
use Test::More;

my ($header, $query) = ('Header-Canary-9471', 'QueryCanary0815xyz');
# A server that repeats all that it is sent: headers and URL in plain, headers in hex and base64.
write_file('echo.lua', <<'LUA');
local httpd, json, hash, task = require "moongate.httpd", require "moongate.json", require "moongate.hash", require "moongate.task"
local server = assert(httpd.serve { handler = function(request)
  local query = request.query_string or ""
  local parts = { request.path .. "?" .. query, "no such key: " .. (query:match "=(.*)" or "") }
  for name, value in pairs(request.headers) do
    parts[#parts + 1] = name .. ": " .. value
    parts[#parts + 1] = value:gsub(".", function(c) return ("%02x"):format(c:byte()) end)
    parts[#parts + 1] = hash.base64("x" .. name .. ": " .. value .. "!")
  end
  return { status = 400, json = { message = table.concat(parts, " "), code = "bad" } }
end })
require "moongate.log".error("ready %s", server.url)
task.sleep(600)
LUA
my $echo = start(qr/ready (http\S+)/, $moongate, 'run', 'echo.lua') or BAIL_OUT('no server');
my $sim = start_sim('--rate-limit', 0);

mkdir 'p';
write_file('p/moongate.lua', qq{return { webhooks = { gov = { url = "$echo->{ready}/hook?key=$query", headers = { ["X-Key"] = secret "HDR" } } } }});
index_file('p/orders-a', indexId => 'orders-a', webhookSyncUrl => 'http://127.0.0.1:9/s');
my @leaks = ($header, $query, unpack('H*', $header), substr(encode_base64("xx-key: $header!", ''), 12, 16), substr(encode_base64("xX-Key: $header!", ''), 12, 16));
sub clean_of { my ($what, $text) = @_; my @found = grep { index($text, $_) >= 0 } @leaks; is("@found", '', "$what holds none of it") }
my %o = (dir => 'p', env => { %{ $sim->{env} }, HDR => $header });
my $r = moon(\%o, 'deploy-index', 'orders-a.json');
is($r->{status}, 0, 'the job is done') or diag($r->{err});
like($r->{err}, qr/gov.*400/s, 'and the webhook is not delivered');
clean_of('the output', $r->{out} . $r->{err});
for my $words ([qw(outbox list)], [qw(outbox list --json)], [qw(runs list --json)], [qw(audit show --json)], [qw(outbox flush)]) {
    $r = moon(\%o, @$words);
    clean_of("@$words", $r->{out} . $r->{err});
}
my $id = json(moon(\%o, qw(outbox list --json))->{out});
$id = (ref $id eq 'HASH' ? $id->{messages} : $id)->[0]{id};
clean_of('outbox show', join '', @{ moon(\%o, 'outbox', 'show', $id) }{qw(out err)});
clean_of("the file $_", read_file($_)) for glob('p/.moongate/*');

subtest 'a webhook whose URL has a key in it is found again, and no other' => sub {
    my $list = moon(\%o, qw(outbox list))->{out};
    like($list, qr/\Q$echo->{ready}\E/, 'its origin is shown');
    is(moon(\%o, "outbox", "retry", $id)->{status}, 0, "retry");
    write_file('p/moongate.lua', qq{return { webhooks = { gov = { url = "$echo->{ready}/hook?key=Another0815value", headers = { ["X-Key"] = secret "HDR" } } } }});
    like(join('', @{ moon(\%o, 'outbox', 'flush') }{qw(out err)}), qr/has another URL/, 'of another key it is another one');
};

subtest 'results and errors that repeat a secret' => sub {
    write_file('p/journal.lua', <<"LUA");
return require "moongate.workflow".define { name = "j", summary = "s", run = function(run)
  local http, secret = require "moongate.http", require "moongate.secret"
  local key = assert(secret.env "HDR")
  local got = run:step("ask", function()
    local r, e = http.get("$echo->{ready}/a", { headers = { ["X-Key"] = key } })
    return { said = tostring(e.body or e.message), [("x"):rep(3)] = 1 }
  end)
  run:step("fail", function() error(got.said, 0) end)
end }
LUA
    my $r = moon(\%o, '--run-id', 'j-1', "--allow-net=" . ($echo->{ready} =~ s{http://}{}r), '--allow-env=HDR', 'run', 'journal.lua');
    is($r->{status}, 1, 'the step fails');
    like($r->{err}, qr/\*\*\*/, 'with what was said');
    clean_of('the output', $r->{out} . $r->{err});
    clean_of('runs show', moon(\%o, '--json', 'runs', 'show', 'j-1')->{out});
    clean_of("the file $_", read_file($_)) for glob('p/.moongate/*');
};

subtest 'a script blanks only its own' => sub {
    write_file('p/tidy.lua', <<'LUA');
local secret, audit, log = require "moongate.secret", require "moongate.audit", require "moongate.log"
return require "moongate.workflow".define { name = "tidy", summary = "s", run = function(run)
  for _, word in ipairs { "orders-tidy", "payload_hash", "index_write", "correlationId", "http_status", "store-17", "http_status\":201" } do secret.of(word) end
  secret.env "GENESYS_CLOUD_VECTOR_STORE_ID"
  local r = run.gateway:write("index", { vectorStoreId = "store-17", indexId = "orders-tidy" }, {
    content = { indexId = "orders-tidy", dimensions = 64, similarityMetric = "cosine", embeddingFormat = "float32" } })
  assert(audit.event { action = "told", about = "orders-tidy" })
  log.error("wrote %s", "orders-tidy")
  print("orders-tidy")
  return { id = "orders-tidy", status = r.status }
end }
LUA
    my $r = moon({ dir => "p", env => { %{ $o{env} }, GENESYS_CLOUD_VECTOR_STORE_ID => 'store-17', MOONGATE_STATE => "$dir/tidy" } }, '--run-id', 't', 'run', 'tidy.lua');
    is($r->{status}, 0, 'runs') or diag($r->{err});
    unlike($r->{out} . $r->{err}, qr/orders-tidy/, 'what it prints, logs and returns is blanked');
    my ($intent, $outcome, $event) = map { json($_) } slurp_lines("$dir/tidy/audit.jsonl");
    like($_->{path}, qr{/store-17/indexes/orders-tidy$}, 'the audit log names what was written') for $intent, $outcome;
    is($intent->{action}, 'index_write', 'and what was done');
    ok($intent->{payload_hash} && $outcome->{http_status} == 201 && $outcome->{correlationId}, 'its members are its own');
    is($event->{about}, '***', 'its own event is blanked');
};

done_testing;
