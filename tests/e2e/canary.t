#!/usr/bin/env perl
# Forty values that must never be seen: client ids, client secrets, tokens and webhook keys, from every source, through runs that
# succeed, fail, are interrupted and talk to a server that repeats whatever it is sent. Everything moongate wrote is searched.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use MIME::Base64 qw(encode_base64);
use Moon;
use Test::More;

my (@canaries, %used);
sub canary {
    my ($kind) = @_;
    my $value = sprintf 'kanarie%02d%s', scalar @canaries, join '', map { ('a' .. 'z', 0 .. 9)[ rand 36 ] } 1 .. 24;
    $value = 'whsec_' . encode_base64("$value$value", '') if $kind eq 'webhook';
    push @canaries, $value;
    $used{$kind}++;
    return $value;
}

# A gateway and login server that lets everybody in, hands out canary tokens, and repeats what it is sent wherever it can.
write_file('server.lua', <<'LUA');
local httpd, json, task = require "moongate.httpd", require "moongate.json", require "moongate.task"
local tokens, held, n = { ... }, {}, 0
local function said(req)
  local all = {}
  for name, value in pairs(req.headers) do all[#all + 1] = name .. ": " .. value end
  return table.concat(all, " | ") .. " | " .. req.body
end
local server = assert(httpd.serve {
  handler = function(req)
    local mode = req.headers["authorization"] and req.path:match("^/(%w+)/") or "?"
    if req.path:find "/oauth/token$" then
      n = n % #tokens + 1
      if req.path:find "^/refuse" then
        return { status = 400, json = { error = "invalid_client", description = said(req), message = said(req) } }
      end
      return { json = { access_token = tokens[n], token_type = "bearer", expires_in = 3600 } }
    end
    if req.path:find "^/hook" then return { status = req.path:find "bad" and 500 or 204 } end
    if mode == "echo" then
      return { status = 422, headers = { ["inin-correlation-id"] = req.headers["authorization"] }, json = {
        message = "refused: " .. said(req), code = req.headers["authorization"], status = 422,
        details = json.array { { errorCode = "x", fieldName = req.headers["authorization"] } } } }
    elseif mode == "html" then
      return { status = 503, body = "<html>" .. said(req), headers = { ["Retry-After"] = "0" } }
    end
    if req.method == "PUT" then
      held[req.path] = req.body
      return { status = 200, headers = { ETag = '"1"' }, json = { id = "i", status = "ready", updatedAt = "2026-01-01T00:00:00Z" } }
    end
    if held[req.path] then return { body = held[req.path], headers = { ETag = '"1"', ["Content-Type"] = "application/json" } } end
    return { status = 404, json = { message = "no such index " .. said(req), code = "not.found", status = 404 } }
  end,
})
print("ready " .. server.url)
task.sleep(600)
LUA
my $server = start(qr/ready (http\S+)/, $moongate, 'run', 'server.lua', map { canary('token') } 1 .. 4) or BAIL_OUT('no server');
my $url = $server->{ready};

write_file('index.json', '{"indexId":"orders","dimensions":512,"similarityMetric":"cosine","embeddingFormat":"float32",'
      . '"autoIngestTrigger":false,"webhookSyncUrl":"https://hooks.example.com/x"}');
write_file('bad.json', '{"indexId":"orders"}');
write_file('script.lua', <<'LUA');
local http, auth, log, secret = require "moongate.http", require "moongate.auth", require "moongate.log", require "moongate.secret"
local key = secret.env "SCRIPT_KEY"
print(key, tostring(key), auth.gateway())
for name, value in pairs(auth.info()) do print(name, value) end
log.error("key %s", tostring(key))
local client = http.client { base_url = auth.info().api_url, auth = auth.gateway() }
local r, err = client:post("/x", { json = { a = 1 } })
print(r, err, err and err.message)
print(pcall(string.format, "%d", key))
print(pcall(function() return key .. "x" end))
error(err or key)
LUA

my @texts;
sub look { my ($what, $r) = @_; push @texts, [ "$what: stdout", $r->{out} ], [ "$what: stderr", $r->{err} ]; return $r }

my @store = ('--vector-store', 'v');
sub session {    # one kind of set-up: name, environment, folder; every kind of run in it
    my ($name, $env, $dir) = @_;
    my $o = sub { { env => { %$env, @_ }, dir => $dir, seconds => 30 } };
    for my $v ([], ['-vv'], ['--json'], ['--json', '-vv']) {
        look("$name doctor @$v", moon($o->(), @$v, 'doctor'));
        look("$name deploy @$v", moon($o->(), @$v, 'deploy-index', '../index.json', @store));
    }
    look("$name dry run", moon($o->(), 'deploy-index', '--dry-run', '../index.json', @store));
    look("$name bad input", moon($o->(), 'deploy-index', '../bad.json', @store));
    look("$name script", moon($o->(SCRIPT_KEY => canary('key')), '-vv', 'run', '../script.lua'));
    for my $mode (qw(echo html refuse)) {
        my %at = (%$env, GENESYSCLOUD_REGION => "$url/$mode", MOONGATE_LOGIN_URL => $mode eq 'refuse' ? "$url/refuse" : $url);
        look("$name $mode", moon({ env => \%at, dir => $dir, seconds => 30 }, '-vv', '--deadline', '2s', 'deploy-index', '../index.json', @store));
        look("$name $mode script", moon({ env => { %at, SCRIPT_KEY => $canaries[-1] }, dir => $dir, seconds => 30 },
                '--json', '-v', '--deadline', '2s', 'run', '../script.lua'));
    }
    look("$name nowhere", moon($o->(GENESYSCLOUD_REGION => 'http://127.0.0.1:1', MOONGATE_LOGIN_URL => 'http://127.0.0.1:1'),
            '-vv', '--deadline', '1s', 'deploy-index', '../index.json', @store));
    look("$name bad region", moon($o->(GENESYSCLOUD_REGION => 'no-such-1'), 'doctor'));
    look("$name --sim", moon($o->(), '--sim', '-vv', 'deploy-index', '../index.json', @store));
    look("$name audit", moon($o->(), 'audit', 'show'));
    look("$name audit --json", moon($o->(), 'audit', 'show', '--json'));
}

# The official names, a client.
mkdir 'env';
session('environment', {
    GENESYSCLOUD_REGION => $url, GENESYSCLOUD_OAUTHCLIENT_ID => canary('id'), GENESYSCLOUD_OAUTHCLIENT_SECRET => canary('secret'),
    EXTERNAL_AI_TOKEN => canary('token'),
}, 'env');
# The tutorials' names, and characters that escape differently everywhere.
mkdir 'other';
my ($odd_id, $odd_secret) = (canary('id') . '+/="\\', canary('secret') . "%&\"'\\ ");
push @canaries, $odd_id, $odd_secret;
session('other names', {
    GENESYS_CLOUD_REGION => $url, GENESYS_CLOUD_CLIENT_ID => $odd_id, GENESYS_CLOUD_CLIENT_SECRET => $odd_secret,
}, 'other');
# A token of the user's.
mkdir 'token';
session('token', { GENESYSCLOUD_REGION => $url, GENESYSCLOUD_ACCESS_TOKEN => canary('token') }, 'token');
# The profile file.
mkdir 'profile';
mkdir 'profile/.gc';
write_file('profile/.gc/config.toml', sprintf "[DEFAULT]\nenvironment = \"%s\"\nclient_credentials = \"%s\"\nclient_secret = \"%s\"\n",
    $url, canary('id'), canary('secret'));
session('profile', { HOME => "$dir/profile" }, 'profile');
# A broken profile file: the message may not quote it.
mkdir 'broken';
mkdir 'broken/.gc';
write_file('broken/.gc/config.toml', sprintf "[DEFAULT]\nclient_secret = \"%s\nclient_credentials = %s\n", canary('secret'), canary('id'));
look('broken profile', moon({ env => { HOME => "$dir/broken" } }, @$_)) for ['doctor'], ['--json', 'doctor'], ['deploy-index', 'index.json', @store];
# The project file, with webhooks of one key, of two, and to a host that fails.
mkdir 'project';
write_file('project/moongate.lua', <<"LUA");
return {
  gateway = { region = "$url", client_id = "@{[ canary('id') ]}", client_secret = secret "P_SECRET" },
  webhooks = {
    one = { url = "$url/hook", secret = secret "HOOK_1" },
    two = { url = "$url/hook", secret = { secret "HOOK_2", secret "HOOK_3" } },
    bad = { url = "$url/hook/bad", secret = secret "HOOK_4" },
  },
}
LUA
session('project', {
    P_SECRET => canary('secret'), HOOK_1 => canary('webhook'), HOOK_2 => canary('webhook'), HOOK_3 => canary('webhook'), HOOK_4 => canary('webhook'),
}, 'project');
# A project file with secrets where they do not belong, or that does not load.
mkdir 'faulty';
for my $text (qq(return { gateway = { client_secret = "%s" } }), qq(return { gateway = { client_secret = "%s }), qq(return { x = %s y }),
    qq(error("%s")), qq(return { webhooks = { a = { url = "http://h", secret = "%s" } } })) {
    write_file('faulty/moongate.lua', sprintf $text, canary('secret'));
    look("faulty project $text", moon({ dir => 'faulty' }, @$_)) for ['doctor'], ['check', 'moongate.lua'], ['--json', 'doctor'];
}
# On the command line, where they are refused.
for my $flag (qw(--client-secret --access-token --token --secret --password)) {
    look($flag, moon('-vv', $flag, canary('secret'), 'doctor'));
    look($flag, moon('--json', "$flag=" . canary('secret'), 'doctor'));
}
# A proxy with a password.
look('proxy', moon({ env => { GENESYSCLOUD_REGION => 'http://example.invalid', GENESYSCLOUD_PROXY_HOST => '127.0.0.1', GENESYSCLOUD_PROXY_PORT => 1,
    GENESYSCLOUD_PROXY_AUTH_USERNAME => 'u', GENESYSCLOUD_PROXY_AUTH_PASSWORD => canary('password'),
    GENESYSCLOUD_OAUTHCLIENT_ID => canary('id'), GENESYSCLOUD_OAUTHCLIENT_SECRET => canary('secret') } },
    '-vv', '--deadline', '1s', $_)) for 'doctor';

# What was written to files, too: state folders and audit logs, wherever they are.
for my $file (split /\0/, `find . -type f -print0`) {
    next if $file =~ m{^\./(?:server\.lua|process-\d+\.log|[^/]+/\.gc/config\.toml|[^/]+/moongate\.lua)$};
    push @texts, [ "file $file", read_file($file) ];
}
cmp_ok(scalar @canaries, '>=', 40, 'forty canaries at the least: ' . join ', ', map { "$used{$_} $_" } sort keys %used);
cmp_ok(scalar(grep { $_->[0] =~ /audit\.jsonl/ && length $_->[1] } @texts), '>=', 2, 'audit logs were searched');
cmp_ok(scalar(grep { $_->[0] =~ /deploy.*stdout/ && $_->[1] =~ /orders: (?:created|updated|unchanged)/ } @texts), '>=', 5, 'and runs that succeeded');

# Each as it is, percent-encoded, as JSON, and the whole groups of its base64, at every offset.
my %forms;
for my $c (@canaries) {
    my @forms = ($c, $c =~ s/([^A-Za-z0-9._~-])/sprintf '%%%02X', ord $1/ger, $c =~ s/(["\\])/\\$1/gr);
    for my $offset (0 .. 2) {
        my $b64 = encode_base64(('x' x $offset) . $c, '');
        push @forms, substr $b64, 4, int((length($c) + $offset) / 3) * 4 - 4;
    }
    $forms{$_} = $c for grep { length > 12 } @forms;
}
my $pattern = join '|', map { quotemeta } sort { length $b <=> length $a } keys %forms;
# The audit log says which client it was, doctor which it is, and nothing else does.
my @leaks;
for (@texts) {
    my ($what, $text) = @$_;
    $text =~ s/\bclient_id=\S+|"client_id":"(?:[^"\\]|\\.)*"//g if $what =~ /audit/;
    $text =~ s/^ok    client id .*//mg, $text =~ s/"check":"client id","message":"(?:[^"\\]|\\.)*"//g if $what =~ /doctor/;
    push @leaks, "$what: ..." . substr($text, $-[0] > 60 ? $-[0] - 60 : 0, 60) . "<< $& >>" while $text =~ /$pattern/g;
}
is(scalar @leaks, 0, 'none of them is seen, in ' . @texts . ' texts') or diag(join "\n", @leaks[ 0 .. (@leaks > 20 ? 19 : $#leaks) ]);

done_testing;
