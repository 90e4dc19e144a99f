#!/usr/bin/env perl
# A name that leads to an inner address is refused unless the address is allowed, whatever proxy is set on the same port for other requests. The name is
# made to lead there by /etc/hosts of a mount namespace: root alone can make one.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../e2e/lib";
use Moon;
use Test::More;

write_file('hosts', "127.0.0.1 localhost hooks.example api.hooks.example\n");
my @inside = ('unshare', '-m', 'sh', '-c', 'mount --bind hosts /etc/hosts && exec "$@"', 'sh');
plan skip_all => 'no mount namespace' unless run(@inside, 'grep', '-q', 'hooks.example', '/etc/hosts')->{status} == 0;

write_file('serve.lua', <<'LUA');
local server = require "moongate.httpd".serve { handler = function() return { body = "reached" } end }
print("ready " .. server.url:match ":(%d+)$")
require "moongate.task".sleep(600)
LUA
my $port = start(qr/^ready (\d+)/m, $moongate, 'run', 'serve.lua')->{ready};
write_file('ask.lua', <<'LUA');
local r, e = require "moongate.http".request { method = "GET", url = ..., deadline = 2 }
print(r and r.body or e.code .. ": " .. e.message)
LUA
sub ask { my ($env, $host, @flags) = @_; run({ env => $env }, @inside, $moongate, @flags, 'run', 'ask.lua', "http://$host:$port/")->{out} }

for my $rule ('hooks.example', '*', '*.hooks.example,hooks.example', 'hooks.example,10.0.0.1') {
    like(ask({}, 'hooks.example', "--allow-net=$rule"), qr/^denied: hooks\.example\S* leads to 127\.0\.0\.1, .*--allow-net=127\.0\.0\.1 /, "--allow-net=$rule");
}
is(ask({}, 'hooks.example', '--allow-net=hooks.example,127.0.0.1'), "reached\n", 'name and address');
is(ask({}, 'hooks.example', '--allow-net=hooks.example', "--allow-net=127.0.0.1:$port"), "reached\n", 'the address with its port');
like(ask({}, 'hooks.example', '--allow-net=hooks.example,127.0.0.1:1'), qr/^denied/, 'with another port');
is(ask({}, 'localhost', '--allow-net=localhost'), "reached\n", 'localhost is this machine');
is(ask({}, 'hooks.example', '--allow-all'), "reached\n", '--allow-all');
is(ask({ GENESYSCLOUD_REGION => "http://hooks.example:$port" }, 'hooks.example', '--allow-http=hooks.example'), "reached\n", 'a gateway that the user has set up');
for my $env ({ HTTPS_PROXY => "http://127.0.0.1:$port" }, { http_proxy => "http://127.0.0.1:$port", NO_PROXY => 'hooks.example' }, { http_proxy => "http://127.0.0.1:1", NO_PROXY => '*' }) {
    like(ask($env, 'hooks.example', '--allow-net=*'), qr/^denied/, join(' ', map { "$_=$env->{$_}" } sort keys %$env));
}
is(ask({ http_proxy => "http://127.0.0.1:$port" }, 'hooks.example', '--allow-net=*'), "reached\n", 'what goes through the proxy reaches the proxy');
done_testing;
