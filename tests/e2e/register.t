#!/usr/bin/env perl
# register-model from outside: Prism finds nothing wrong in what it sends, an OpenAI mock of other authors passes and fails its test, and
# the official openai client gets on with the simulator's chat completions.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Moon;
use Test::More;
need_peers();

my $sim = start_sim('--rate-limit', 0);
my %good = (
    endpoint_url => $sim->{url}, auth_credential_id => 'cred-1', model_architecture => 'openai', max_requests_per_minute => 60,
    max_tokens_per_minute => 1000, parameters => { temperature => 0.5, stop_sequences => ['#'] },
);

sub model_file {
    my ($name, %change) = @_;
    my %model = (%good, name => $name, %change);
    return write_file("$name.json", JSON::PP->new->canonical->encode(\%model));
}

# register([env], args...) -> {status, out, err, data}
sub register {
    my $env = ref $_[0] ? shift : {};
    my $r = moon({ env => { %{ $sim->{env} }, %$env } }, '--json', 'register-model', @_);
    $r->{data} = $r->{out} =~ /^\{/ ? json($r->{out}) : undef;
    return $r;
}

subtest 'with nothing set' => sub {
    my $r = moon('--sim', 'register-model', "$root/scripts/examples/model.json");
    is($r->{status}, 0, 'the example goes through') or diag("$r->{out}$r->{err}");
    like($r->{out}, qr{endpoint https://models\.example\.com was played by the simulated gateway}, 'and it is said who answered');
    like($r->{out}, qr/^support-assistant: created .* test PASS .* health HEALTHY/m, 'what came of it');
    $r = moon({ env => { EXTERNAL_AI_TOKEN => 'sk-canary-8731' } }, '--sim', '-vv', '--json', 'register-model', "$root/scripts/examples/models");
    is(join(' ', map { "$_->{name} $_->{status}" } @{ json($r->{out})->{results} }), 'summariser created translator created', 'a folder');
    unlike("$r->{out}$r->{err}", qr/canary/, 'a token is no matter');
    $r = moon('--sim', '--json', 'register-model', "$root/scripts/examples/bad_model.json");
    is($r->{status}, 3, 'the bad example does not');
    is(scalar @{ json($r->{out})->{error}{details} }, 8, 'for eight reasons');
};

subtest 'before Prism' => sub {
    my $prism = start_peer('prism', $sim->{url});
    my $env   = { GENESYSCLOUD_REGION => $prism->{info}{url} };
    my $try   = sub {
        my ($what, $status, @args) = @_;
        my $r = register($env, @args);
        is($r->{status}, $status, "$what: exit status") or diag("$r->{out}$r->{err}");
        my ($requests, $violations) = prism_said($prism);
        is_deeply($violations, [], "$what: nothing is against the document");
        return (join "\n", @$requests), $r;
    };
    my ($requests) = $try->('register', 0, model_file('prism-1', webhook_callback_url => 'http://127.0.0.1:9/x'));
    like($requests, qr{^POST /api/v2/ai/llm-gateway/models\n(GET /api/v2/ai/jobs/[0-9a-f-]+\n)+POST \S+/health-checks\z}m, 'its requests');
    ($requests) = $try->('again', 0, 'prism-1.json');
    unlike($requests, qr{^POST /api/v2/ai/llm-gateway/models$}m, 'nothing is registered twice');
    $try->('a failed job', 1, model_file('fail-prism'));
    $try->('no parameters, and a test that fails', 8, model_file('prism-wrong', parameters => {}));
    ($requests) = $try->('dry run', 0, '--dry-run', model_file('prism-dry'));
    unlike($requests, qr{^POST /api/v2/ai}m, 'nothing is written');
    my ($many) = $try->('three at once', 0, map { model_file("three-$_") } 1 .. 3);
    is(() = $many =~ m{^POST /api/v2/ai/llm-gateway/models$}mg, 3, 'three are registered');
};

subtest 'an endpoint of other authors' => sub {
    plan skip_all => 'aimock needs Node.js 20.15 or later' if `node --version` !~ /^v(\d+)\.(\d+)/ || $1 < 20 || $1 == 20 && $2 < 15;
    my $llm = start_peer('llm', 'sk-canary-8731');
    my $url = $llm->{info}{url};
    my $try = sub {
        my ($name, $status, $result, $why, @args) = @_;
        my $r = register({ EXTERNAL_AI_TOKEN => 'sk-canary-8731' }, @args, model_file($name, endpoint_url => $url));
        is($r->{status}, $status, "$name @args: exit status") or diag("$r->{out}$r->{err}");
        my $v = $r->{data}{results}[0]{validation};
        is($v->{result}, $result, "$name @args: $result");
        like("@{$v->{reasons}}", $why, "$name @args: why") if $why;
        unlike("$r->{out}$r->{err}", qr/canary/, "$name @args: the token is not told");
        return $v;
    };
    my $v = $try->('obedient', 0, 'PASS', undef, '--samples', 20, '--max-latency', '10s');
    is("$v->{passed}/$v->{samples} $v->{response_code}", '20/20 200', 'twenty samples');
    ok($v->{latency}{p50} <= $v->{latency}{p95} && $v->{latency}{p95} <= $v->{latency}{p99}, 'and their spread');
    $try->('chatty',   0, 'PASS');
    $try->('chatty',   8, 'FAIL', qr/does not contain PONG/, '--expect', 'PONG', '--test-model', 'stubborn');
    $try->('stubborn', 8, 'FAIL', qr/the reply "No\." does not contain VALIDATION_SUCCESS/);
    $try->('mute',     8, 'FAIL', qr/the reply "" does not contain/);
    $try->('refusing', 8, 'FAIL', qr/answered 401: Incorrect API key provided/);
    $try->('unheard-of', 8, 'FAIL', qr/answered 40\d/);
    $try->('late',     8, 'FAIL', qr/a latency of \S+ ms is above 200 ms/, '--max-latency', '200ms');
    $try->('late',     0, 'PASS', undef, '--max-latency', '30s');
    $try->('limited',  8, 'FAIL', qr/429|[Rr]ate limit/, '--deadline', '2s');

    my @asked = map { json($_) } read_file($llm->{log}) =~ /^asked (.*)$/mg;
    cmp_ok(scalar @asked, '>=', 28, 'the endpoint was asked');
    is_deeply($asked[0]{body}{messages}, [{ role => 'user', content => 'Respond with exactly: VALIDATION_SUCCESS' }], 'what the contract says');
    is("$asked[0]{path} $asked[0]{body}{temperature} $asked[0]{body}{max_tokens} $asked[0]{body}{model}", '/v1/chat/completions 0 10 obedient', 'as it says');
    for my $env ({}, { EXTERNAL_AI_TOKEN => 'sk-other' }) {
        my $r = register($env, 'obedient.json');
        is($r->{status}, 8, 'with no token, or another, the endpoint lets nobody in') or diag("$r->{out}$r->{err}");
        is($r->{data}{results}[0]{validation}{response_code}, 401, 'and answers 401');
    }
    my $log = join '', grep { defined } map { JSON::PP::encode_json($_) } @{ sim_get($sim, 'stats')->{last} };
    unlike($log, qr/canary/, 'which the gateway never gets');
};

subtest 'one token, several endpoints' => sub {
    my @two = (model_file('here'), model_file('there', endpoint_url => 'http://localhost:9'));
    my $token = { EXTERNAL_AI_TOKEN => 'sk-canary-8731' };
    my $r = register($token, @two);
    is($r->{status}, 2, 'nobody guesses whose it is') or diag($r->{err});
    like($r->{err}, qr/--token-origin/, 'and how to say it is said');
    is(register($token, '--token-origin', $sim->{url}, $two[0])->{status}, 0, 'it is said');
    is(register($token, '--no-synthetic', @two)->{status}, 0, 'where nothing is tested it does not matter');
};

subtest 'the official client and the simulator' => sub {
    my $r = run('node', "$root/tests/e2e/peers/openai.mjs", "$sim->{url}/v1");
    is($r->{status}, 0, 'the client gets through') or return diag($r->{err});
    my $said = json($r->{out});
    is_deeply([@{ $said->{models} }[0 .. 2]], [qw(sim-small sim-large sim-strict)], 'the models');
    is_deeply([@{ $said->{whole} }{qw(object content reason)}], ['chat.completion', 'pong', 'stop'], 'a completion');
    cmp_ok($said->{whole}{usage}{total_tokens}, '>', 1, 'and what it used');
    is(join('', @{ $said->{pieces} }), 'a b c', 'a stream');
    cmp_ok(scalar @{ $said->{pieces} }, '>', 3, 'in pieces');
    is($said->{parts}, 'ok', 'a message of several parts');
    is("$said->{down}{kind} $said->{down}{status}", 'InternalServerError 503', 'a model that is down');
    is("$said->{busy}{kind} $said->{busy}{code}", 'RateLimitError rate_limit_exceeded', 'a busy one');
    is("$said->{empty}{kind} $said->{empty}{status}", 'BadRequestError 400', 'a bad request');
    is("$said->{unknown}{kind} $said->{unknown}{code}", 'NotFoundError model_not_found', 'a model that is not registered');
};
done_testing;
