#!/usr/bin/env perl
# A gateway, a login host or a webhook's receiver with an http:// URL on another machine: nothing is sent unless the host is named.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../e2e/lib";
use Moon;
use Test::More;

my $index = "$FindBin::Bin/../../scripts/examples/index.json";
my %client = (GENESYSCLOUD_OAUTHCLIENT_ID => 'plain-client-1', GENESYSCLOUD_OAUTHCLIENT_SECRET => 'plain-secret-22', GENESYS_CLOUD_VECTOR_STORE_ID => 'v');

for my $case ([ 'the gateway', { GENESYS_CLOUD_REGION => 'http://192.0.2.2:28519' }, 'GENESYS_CLOUD_REGION' ],
    [ 'the login host', { GENESYSCLOUD_REGION => 'http://127.0.0.1:1', MOONGATE_LOGIN_URL => 'http://login.example' }, '--login-url' ]) {
    my ($what, $env, $from) = @$case;
    my $r = moon({ env => { %client, %$env } }, 'deploy-index', $index);
    like($r->{status}, qr{^[27]$}, "$what: refused");
    like($r->{err}, qr/\(from $from\): plain HTTP would show the client secret.*--allow-http=/, 'and says from where, and what allows it');
    like(moon({ env => { %client, %$env } }, 'doctor')->{out}, qr/^FAIL  credentials    http:.*plain HTTP/m, 'doctor says so');
    my $script = 'local auth = require "moongate.auth" local a, e = auth.gateway() return e and e.code or "a credential"';
    unlike(moon({ env => { %client, %$env } }, '-e', $script)->{out}, qr/a credential/, 'and a script gets no credential');
}
my $r = moon({ env => { %client, GENESYSCLOUD_REGION => 'http://192.0.2.2:1' }, seconds => 30 }, '--allow-http', '192.0.2.2:1', '--deadline', '200ms', 'deploy-index', $index);
isnt($r->{status}, 7, 'named: it is tried');
write_file('moongate.lua', 'return { gateway = { region = "http://192.0.2.2:1" }, permissions = { http = { "192.0.2.2" } } }');
isnt(moon({ env => {%client} }, '--deadline', '200ms', 'deploy-index', $index)->{status}, 7, 'named in the project file');
unlink 'moongate.lua';
is(moon({ env => { %client, GENESYSCLOUD_REGION => 'http://localhost:1' } }, '--deadline', '200ms', 'deploy-index', $index)->{status}, 6, 'this machine needs no name');

$r = moon('webhook', 'send', 'http://hooks.example/x', '--event', 'e', '--data', '{}');
like($r->{err}, qr{http://hooks\.example: plain HTTP to another machine is not allowed}, 'a webhook');
isnt($r->{status}, 0);
like(moon('--allow-http', 'a b', 'version')->{err}, qr/--allow-http: 'a b': not a host/, 'a rule that is not one');
done_testing;
