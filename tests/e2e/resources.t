#!/usr/bin/env perl
# get, describe, delete, api and watch from outside, against the simulator with Prism before it: what they print, what they send, and that nothing
# is deleted unasked.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use Moon;
use Test::More;

my $sim = start_sim();
delete $sim->{env}{GENESYS_CLOUD_VECTOR_STORE_ID};
my $small = '5a3e1a00-0000-4000-8000-000000000001';
sub sent { sim_get($sim, 'stats')->{requests} // 0 }
sub try_it {
    my ($status, @args) = @_;
    my $r = moon({ env => $sim->{env}, ref $args[0] ? %{ shift @args } : () }, @args);
    is($r->{status}, $status, "@args: $status") or diag("$r->{out}$r->{err}");
    return $r;
}

my @index = map { index_file("index-$_") } 1 .. 3;
try_it(0, 'deploy-index', '--vector-store', 'vs 1', @index);

subtest 'get' => sub {
    my @lines = split /\n/, try_it(0, 'get', 'models')->{out};
    like($lines[0], qr/^ID +NAME +STATUS +MODEL_ARCHITECTURE +MAX_CONTEXT_WINDOW$/, 'a table has a heading');
    like($lines[1], qr/^$small  sim-small +active +custom +4096$/, 'and a row each');
    is(scalar @lines, 4, 'and nothing else');
    my $one = json(try_it(0, qw(get model), $small, qw(--output json))->{out});
    is($one->{name}, 'sim-small', 'one id: one object');
    is(scalar @{ json(try_it(0, qw(get MODELS --output json))->{out}) }, 3, 'a listing: an array');
    my @rows = map { json($_)->{name} } split /\n/, try_it(0, qw(get registered-model --output jsonl))->{out};
    is_deeply(\@rows, [qw(sim-small sim-large sim-strict)], 'JSON lines, one each');
    is(json(try_it(0, qw(--json get models))->{out})->{resources}[2]{name}, 'sim-strict', '--json: one document');
    like(try_it(0, qw(get index --in), 'vs 1')->{out}, qr/^ID .*DIMENSIONS.*\nindex-1 /, 'the first part of the ids by --in');
    like(try_it(0, qw(get index), 'vs%201/index-2', '--output', 'json')->{out}, qr/"id": "index-2"/, 'or as part of the id');
    like(try_it(0, { env => { %{ $sim->{env} }, GENESYS_CLOUD_VECTOR_STORE_ID => 'vs 1' } }, qw(get indexes index-3))->{out}, qr/\nindex-3 /,
        'or from the environment');
    like(try_it(2, qw(get index index-3))->{err}, qr{needs 2 ids \(vectorStoreId/indexId\), not 1.*--in}s, 'one part is missing');
    like(try_it(2, qw(get index))->{err}, qr/vectorStoreId with --in/, 'so is that of the listing');
    like(try_it(3, qw(get model), $small, 'nope', 'neither')->{err}, qr{2 resources were not found.*model/nope.*model/neither}s, 'all that are missing');
    like(try_it(3, qw(get modells))->{err}, qr/did you mean 'models'/, 'a misspelt kind');
    like(try_it(2, qw(get configuration))->{err}, qr/no listing of model configurations/, 'a kind that is not listed');
    is(try_it(0, 'runs', 'list')->{out} =~ /\bget\b/, '', 'no run is kept of a read');
};

subtest 'describe' => sub {
    my $r = try_it(0, qw(describe index), 'vs 1/index-1');
    like($r->{out}, qr{^address +index/vs%201/index-1\n.*^etag +"}ms, 'address and ETag');
    like($r->{out}, qr/^configuration +\{.*"dimensions":/m, 'and every member');
    like(try_it(3, qw(describe model nope))->{err}, qr/was not found.*moongate get model/s, 'not found, and where to look');
};

subtest 'delete' => sub {
    my $file = write_file('t.json', JSON::PP->new->encode({ templateId => 'a', version => '1.0.0', content => 'x', variables => {} }));
    try_it(0, 'promote-template', $file);
    write_file('t2.json', read_file($file) =~ s/1\.0\.0/1.1.0/r =~ s/"x"/"y"/r);
    try_it(0, 'promote-template', 't2.json');
    try_it(0, qw(promote-template --id a --rollback 1.0.0));
    my $active = sub { sim_get($sim, 'state')->{templates}{a}{rollback} };
    like(try_it(2, qw(delete rollback a))->{err}, qr/asks on a terminal; elsewhere it needs --yes/, 'nobody is there to ask');
    try_it(0, qw(delete rollback a --dry-run));
    is($active->(), '1.0.0', 'nothing was deleted yet');
    like(try_it(0, qw(delete rollback a --yes))->{out}, qr{^template_rollback/a: deleted .*audit \d+$}m, 'deleted');
    is($active->(), undef, 'and gone');
    like(try_it(2, qw(delete index), 'vs 1/index-1', '--yes')->{err}, qr/no DELETE for/, 'the contract has no such DELETE');
    my $r = try_it(0, qw(audit verify));
};

subtest 'api' => sub {
    is(try_it(0, qw(api /api/v2/ai/models --paginate --field pageSize=1 --pointer /2/name))->{out}, "sim-strict\n", 'all pages, one value');
    is(try_it(0, qw(api get), "/api/v2/ai/models/$small", '--pointer', '/capabilities/max_context_window')->{out}, "4096\n", 'a GET');
    like(try_it(0, qw(api HEAD /api/v2/ai/models))->{out}, qr/^status: 200\n/, 'HEAD prints the headers');
    my $body = write_file('body.json', '{"indexId":"index-9","dimensions":8,"similarityMetric":"cosine","embeddingFormat":"float32"}');
    my @put = (qw(api PUT), '/api/v2/ai/vectorstores/vs/indexes/index-9', '--input', $body);
    like(try_it(0, @put, '--dry-run')->{out}, qr{^PUT /api/v2/.* would be sent\n  \+ dimensions: 8}, 'a dry run shows the body');
    my $doc = json(try_it(0, '--json', @put)->{out});
    is_deeply([ @$doc{qw(status http_status)} ], ['created', 201], 'a write says what it did');
    ok($doc->{audit_seq}, 'and where it is audited');
    try_it(5, @put, '--header', 'If-Match: "0"');
    like(try_it(2, qw(api DELETE /api/v2/x))->{err}, qr/--yes/, 'a DELETE asks');
    like(try_it(2, qw(api PUT models))->{err}, qr{must begin with /}, 'the host is the gateway\'s');
    like(try_it(2, 'api', 'https://example.com/x')->{err}, qr{must begin with /}, 'and nobody else\'s');
    like(try_it(2, qw(api POST /x --field a=1 --field a=2))->{err}, qr/"a" is given twice/, 'a field twice');
    like(try_it(3, qw(api POST /x --input), write_file('bad.json', "{\n  \"a\": }"))->{err}, qr/bad\.json:2/, 'a bad body, with its line');
    like(try_it(3, qw(api /api/v2/ai/models --pointer /nothing))->{err}, qr{nothing at /nothing}, 'a pointer to nothing');
    try_it(1, qw(api /api/v2/nowhere));
};

subtest 'watch' => sub {
    my $model = write_file('model.json', JSON::PP->new->encode({
        name => 'summariser', endpointUrl => 'https://llm.example.com/v1', authCredentialId => 'cred-1', modelArchitecture => 'openai',
        parameters => {}, rateLimits => { maxRequestsPerMinute => 60, maxTokensPerMinute => 60000 },
    }));
    my $id = json(try_it(0, '--json', qw(api POST /api/v2/ai/llm-gateway/models --input), $model)->{out})->{body}{jobId};
    ok($id, 'a job was begun') or return;
    my $r = try_it(0, 'watch', 'job', $id);
    like($r->{out}, qr/^\Q$id\E: COMPLETED after [\d.]+ s$/, 'its end');
    like(try_it(2, 'watch', 'job', $id, '--kind', 'index')->{err}, qr/not created by a job/, 'a kind without jobs');
};

subtest 'Prism before the simulator' => sub {
    need_peers();
    my $prism = start_peer('prism', $sim->{url});
    my %env   = (%{ $sim->{env} }, GENESYSCLOUD_REGION => $prism->{info}{url});
    for my $args ([qw(get models)], [qw(get index --in vs)], [ qw(describe model), $small ], [qw(get templates --in a)], [qw(get template a/1.1.0)],
        [ qw(api /api/v2/ai/models --field pageSize=2) ]) {
        my $r = moon({ env => \%env }, @$args);
        is($r->{status}, 0, "@$args") or diag("$r->{out}$r->{err}");
    }
    my (undef, $violations) = prism_said($prism);
    is_deeply($violations, [], 'nothing is against the document');
};

subtest 'words of other programs' => sub {
    my %meant = (ls => 'list', whoami => 'doctor', login => 'doctor', deploy => 'deploy-index', rm => 'delete', curl => 'api');
    like(try_it(2, $_)->{err}, qr/did you mean 'moongate $meant{$_}'/, "$_: $meant{$_}") for sort keys %meant;
    like(try_it(0, $_)->{out}, qr/^Usage: moongate $_/, "$_ alone shows its help") for qw(audit runs queue);
};

done_testing;
