#!/usr/bin/env perl
# A run that is resumed, or asked for again under its --run-id, with other input is refused or says so; it never gives the old result in
# silence. And "To resume" stands only where a resume can help.
use strict;
use warnings;
use FindBin;
use HTTP::Tiny;
use lib "$FindBin::Bin/../e2e/lib";
use Moon;
use Test::More;

my $sim = start_sim();
my $env = { %{ $sim->{env} }, GENESYS_CLOUD_VECTOR_STORE_ID => 'vs' };
sub fault { HTTP::Tiny->new->delete("$sim->{url}/__sim/faults"); sim_post($sim, 'faults', $_) for @_ }
sub index_json { my ($id, $n) = @_; return qq({"indexId":"$id","dimensions":$n,"similarityMetric":"cosine","embeddingFormat":"float32"}) }
sub deploy { my ($id, @words) = @_; return moon({ env => $env }, '--run-id', $id, 'deploy-index', @words) }

write_file('a.json', index_json(orders => 64));
is(deploy('r1', 'a.json')->{status}, 0);
my $r = deploy('r1', 'a.json');
is($r->{status}, 0, 'the same again gives its result');
like($r->{err}, qr/^Run r1 already finished at /m);
write_file('a.json', index_json(orders => 128));
for my $again (sub { deploy('r1', 'a.json') }, sub { moon({ env => $env }, 'runs', 'resume', 'r1') }) {
    $r = $again->();
    is($r->{status}, 5, 'an edited file is refused') or diag($r->{out}, $r->{err});
    like($r->{err}, qr/a\.json changed since run r1 was started/);
    is($r->{out}, '', 'and no result is shown');
}
write_file('a.json', index_json(orders => 64));
$r = moon({ env => { %$env, GENESYS_CLOUD_VECTOR_STORE_ID => 'other' } }, '--run-id', 'r1', 'deploy-index', 'a.json');
is($r->{status}, 2, 'another value of a flag, by its variable');
like($r->{err}, qr/was started with GENESYS_CLOUD_VECTOR_STORE_ID=vs, not with other/);
is(deploy('r1', 'a.json', '--concurrency=1')->{status}, 2, 'other flags');

mkdir 'many';
write_file("many/$_.json", index_json($_ => 64)) for qw(b c);
fault('{"status":500,"method":"PUT","path":"/indexes/c"}');
$r = deploy('r2', 'many');
isnt($r->{status}, 0, 'one of a folder fails');
like($r->{err}, qr/^To resume: moongate .*runs resume r2$/m, 'a resume may help');
write_file('many/c.json', index_json(c => 32));
is(moon({ env => $env }, 'runs', 'resume', 'r2')->{status}, 5, 'a folder with an edited file');
write_file('many/c.json', index_json(c => 64));
fault();
$r = moon({ env => $env }, 'runs', 'resume', 'r2');
is($r->{status}, 0, 'as it was, it is resumed') or diag($r->{err});

write_file('own.lua', <<'LUA');
local workflow = require "moongate.workflow"
return workflow.define { name = "own", summary = "s", args = { { "file", "f" } }, permissions = { read = { "." } },
  run = function(run, args) return { got = run:step("read", function() return require("moongate.fs").read(args.file) end) } end }
LUA
write_file('x.txt', 'one');
is(moon({ env => $env }, '--run-id', 'r3', 'run', 'own.lua', 'x.txt')->{status}, 0);
write_file('x.txt', 'two');
$r = moon({ env => $env }, '--run-id', 'r3', 'run', 'own.lua', 'x.txt');
is($r->{status}, 0, 'a script of the user\'s may have written it');
like($r->{err}, qr/x\.txt changed since the run was started/, 'it is said');

# ---- no hint where a resume can't help ----

fault('{"status":422,"method":"PUT","path":"/indexes/*"}');
write_file('bad.json', index_json(bad => 64));
$r = deploy('r4', 'bad.json');
is($r->{status}, 3, 'rejected by the gateway');
unlike($r->{err}, qr/To resume/, 'the same would be rejected again');
fault('{"status":400,"method":"POST","path":"*/prompts"}');
$r = moon({ env => $env }, 'route-prompts', '--model', 'sim-small', '--prompt', 'hello');
isnt($r->{status}, 0, 'a prompt that fails');
unlike($r->{err}, qr/To resume/, 'is sent again as easily');
fault('{"status":400,"method":"POST","path":"*/prompts","nth":2}');
write_file('p.jsonl', qq("one"\n"two"\n));
$r = moon({ env => $env }, '--run-id', 'r5', 'route-prompts', '--model', 'sim-small', 'p.jsonl');
is($r->{status}, 3, 'one of two prompts fails');
unlike($r->{err}, qr/To resume/, 'each has its result');
$r = moon({ env => $env }, 'runs', 'resume', 'r5');
is_deeply([ $r->{status}, $r->{out} ], [ 3, '' ], 'a resume sends none of them again') or diag($r->{err});
like($r->{err}, qr/its results were printed then, and are not kept/);

done_testing();
