#!/usr/bin/env perl
# Client credentials with an OAuth server of other authors: its tokens are minted once, for all tasks, and open an API that checks them.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Moon;
use Test::More;
need_peers();

my $peer = start_peer('oauth')->{info};
my %env = (
    GENESYSCLOUD_REGION             => $peer->{api},
    MOONGATE_LOGIN_URL              => $peer->{login},
    GENESYSCLOUD_OAUTHCLIENT_ID     => 'client-7',
    GENESYSCLOUD_OAUTHCLIENT_SECRET => 's3cret:with colon',
);
write_file('many.lua', <<'LUA');
local auth, http, task = require "moongate.auth", require "moongate.http", require "moongate.task"
local credential = assert(auth.gateway())
local client = http.client { base_url = arg and arg[1] or ..., auth = credential }
local list = {}
for i = 1, 200 do list[i] = i end
local answers = assert(task.map(list, 50, function(i) return assert(client:get("/thing/" .. i)):json() end))
for i, answer in ipairs(answers) do assert(answer.path == "/thing/" .. i) end
print(#answers)
LUA
my $r = moon({ env => \%env }, 'run', 'many.lua', $peer->{api});
is($r->{status}, 0, 'two hundred concurrent calls') or diag($r->{err});
is($r->{out}, "200\n", 'each answered');

my $count = run('node', '-e', "fetch('$peer->{api}/count').then(r => r.text()).then(t => console.log(t))");
my $seen = json($count->{out});
is($seen->{mints}, 1, 'one token request for all');
is($seen->{accepted}, 200, 'the API took the token every time');
is($seen->{refused}, 0, 'and was never called without');
is($seen->{basic}[0], 'client-7:s3cret:with colon', 'the credentials came as Basic');
is($seen->{grant}[0], 'client_credentials', 'the form body was sent');
is($seen->{token_scope}[0], undef, 'no scope unless set');

unlike("$r->{out}$r->{err}", qr/s3cret|eyJ/, 'neither secret nor token is shown');
done_testing;
