#!/usr/bin/env perl
# Prism, serving docs/openapi.yaml, finds nothing wrong in any request of deploy-index; and, before the simulator, nothing in its answers.
use strict;
use warnings;
use FindBin;
use HTTP::Tiny;
use lib "$FindBin::Bin/lib";
use Moon;
use Test::More;
need_peers();

subtest 'before the simulator: requests and answers' => sub {
    my $sim   = start_sim();
    my $prism = start_peer('prism', $sim->{url});
    my %env   = (%{ $sim->{env} }, GENESYSCLOUD_REGION => $prism->{info}{url});
    my $try   = sub {
        my ($what, $status, $want, @args) = @_;
        my $r = moon({ env => \%env }, @args);
        is($r->{status}, $status, "$what: exit status") or diag("$r->{out}$r->{err}");
        my ($requests, $violations) = prism_said($prism);
        is_deeply($violations, [], "$what: nothing is against the document");
        my %count;
        $count{ (split)[0] }++ for @$requests;
        is_deeply(\%count, $want, "$what: the requests") or diag(join "\n", @$requests);
    };
    my @three = map { index_file("index-$_") } 1 .. 3;
    $try->('create', 0, { POST => 1, GET => 2, PUT => 1 }, 'deploy-index', index_file('first'));
    $try->('no change', 0, { POST => 1, GET => 1 }, 'deploy-index', index_file('first'));
    $try->('change', 0, { POST => 1, GET => 2, PUT => 1 }, 'deploy-index', index_file('first', dimensions => 1024));
    $try->('dry run', 0, { POST => 1, GET => 1 }, '--dry-run', 'deploy-index', index_file('first', dimensions => 512));
    $try->('three at once', 0, { POST => 1, GET => 6, PUT => 3 }, 'deploy-index', @three);
    $try->('names to be encoded', 0, { POST => 1, GET => 2, PUT => 1 }, 'deploy-index', index_file('first', indexId => 'a b/c%d'));
    write_file('prompts.jsonl', join '', map { "$_\n" } '"one"', '{"id":7,"prompt":"two","temperature":"high","safety":["pii"],"metadata":{"a":"b"}}',
        '{"prompt":"three","model":"sim-large","fallback":["sim-strict"],"max_tokens":5,"top_p":0.5}');
    $try->('one prompt', 0, { POST => 2, GET => 1 }, 'route-prompts', '--model', 'sim-small', '--prompt', 'Hello');
    $try->('prompts from a file', 0, { POST => 4, GET => 1 }, 'route-prompts', 'prompts.jsonl', '--model', 'sim-small', '--fallback', 'sim-large');
    $try->('a prompt that is refused by all', 3, { POST => 3, GET => 1 }, 'route-prompts', '--model', 'sim-small', '--fallback', 'sim-large', '--prompt', '[violate]');
    $try->('not in the store: an error body', 0, { POST => 1, GET => 1 }, '-e', <<'LUA');
local auth, http = require "moongate.auth", require "moongate.http"
local client = http.client { base_url = auth.info().api_url, auth = assert(auth.gateway()), retry = false }
local ok, err = client:get("/api/v2/ai/vectorstores/store-1/indexes/none")
assert(not ok and err.status == 404, tostring(err))
LUA
    $try->('the list', 0, { POST => 1, GET => 2 }, '-e', <<'LUA');
local auth, http, gateway = require "moongate.auth", require "moongate.http", require "moongate.gateway"
local gw = gateway.open { client = http.client { base_url = auth.info().api_url, auth = assert(auth.gateway()) } }
local n = 0
for page in gw:list("index", { vectorStoreId = "store-1" }, { page_size = 3 }) do n = n + #page.entities end
assert(n == 5, n)
LUA
};

subtest 'the mock alone: requests' => sub {
    my $prism = start_peer('prism');
    my %env = (
        GENESYSCLOUD_REGION             => $prism->{info}{url},
        GENESYSCLOUD_OAUTHCLIENT_ID     => 'id',
        GENESYSCLOUD_OAUTHCLIENT_SECRET => 'a secret for a mock',
        GENESYS_CLOUD_VECTOR_STORE_ID   => 'store-1',
    );
    my $r = moon({ env => \%env }, 'deploy-index', index_file('first'));
    isnt($r->{status}, 0, 'a mock that forgets what was written is found out by reading back');
    my ($requests, $violations) = prism_said($prism);
    is_deeply($violations, [], 'nothing is against the document');
    ok((grep { /^PUT / } @$requests), 'the PUT was sent') or diag(join("\n", @$requests), $r->{err});
    HTTP::Tiny->new->put("$prism->{info}{url}/api/v2/ai/vectorstores/v/indexes/i", { content => '{}' });
    ($requests, $violations) = prism_said($prism);
    ok(scalar @$violations, 'Prism does look: a bad request is found');
};
done_testing;
