#!/usr/bin/env perl
# The five jobs against a gateway written from five published tutorials (peers/tutorial_gateway.mjs): their credentials, paths and scopes,
# the bodies they show, the errors they warn of. The number in front of a test is the row of docs/tutorials.md.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Moon;
use Test::More;
use Time::HiRes qw(time);
plan skip_all => 'Node.js is not installed' if system('node --version >/dev/null 2>&1') != 0;

my $peer = start(qr/^ready (\{.*\})$/m, 'node', "$root/tests/e2e/peers/tutorial_gateway.mjs") or BAIL_OUT('the tutorial gateway did not start');
my $url  = json($peer->{ready})->{url};
my $http = HTTP::Tiny->new(timeout => 10);
my %T0   = (
    GENESYS_CLOUD_REGION => $url, GENESYS_CLOUD_CLIENT_ID => 'tutorial-client', GENESYS_CLOUD_CLIENT_SECRET => 'tutorial-secret',
    GENESYS_CLOUD_VECTOR_STORE_ID => 'vs-1',
);
my $configured = 'a1b2c3d4-e5f6-7890-abcd-ef1234567890';
my $json = JSON::PP->new->canonical->allow_nonref;
my $fresh = 0;

sub control { $http->post("$url/__control", { content => $json->encode({@_}) })->{success} or BAIL_OUT('the tutorial gateway is gone') }
sub rule { control(rule => {@_}) }
# reset(switch => value...): a new gateway, and for moongate a machine that has done nothing yet.
sub reset_all { control(reset => JSON::PP::true(), set => {@_}); $ENV{XDG_STATE_HOME} = "$dir/state-" . ++$fresh }
sub seen { json($http->get("$url/__seen")->{content}) }
sub requests { my ($method, $path) = @_; grep { $_->{method} eq $method && $_->{path} =~ $path } @{ seen()->{requests} } }
sub hooks { map { { %$_, json => json($_->{body}) } } @{ seen()->{hooks} } }
sub audit { my ($dir) = @_; @{ json(moon({ dir => $dir }, 'audit', 'show', '--json')->{out} || '[]') } }

# job([{env, dir, stdin}], args...) -> {status, out, err, data}
sub job {
    my $o = ref $_[0] ? shift : {};
    my $r = moon({ %$o, env => { %T0, %{ $o->{env} // {} } } }, @_);
    $r->{data} = $r->{out} =~ /^\{/ ? eval { json($r->{out}) } : undef;
    $r->{text} = "$r->{out}$r->{err}";
    return $r;
}
# rows NAME, CODE: a subtest; what dies in it fails it, and the next one runs.
sub rows { my ($name, $code) = @_; subtest $name => sub { eval { $code->(); 1 } or fail("died: $@") } }
sub ends { my ($r, $status, $name) = @_; is($r->{status}, $status, $name) or diag("$r->{out}$r->{err}"); return $r }
sub project { my ($name, $lua) = @_; mkdir $name; write_file("$name/moongate.lua", $lua); return "$dir/$name" }

sub template_file {
    my ($name, %change) = @_;
    my %t = (
        templateId => $name, version => '2.1.0', content => 'Answer {{customer}} in {{language}}. Be kind to {{customer}}.',
        variables => { customer => 'string', language => 'string' }, rollbackDirective => JSON::PP::false(),
        abTestingTrigger => { enabled => JSON::PP::true(), trafficPercent => 0.2, variantId => 'v2_1_0_beta' },
        metadata => { owner => 'support' }, %change,
    );
    return write_file("$name-$t{version}.json", $json->encode(\%t));
}
sub configuration_file {
    my ($name, %change) = @_;
    my %c = (
        model_id => $configured, temperature_matrix => { default => 0.7, creative => 1.2, precise => 0.2 },
        safety_filters => [{ filter_type => 'pii', action => 'redact', threshold => 70 }], max_tokens => 2048, compliance_mode => 'strict', %change,
    );
    return write_file("$name.json", $json->encode(\%c));
}
sub model_file {
    my ($name, %change) = @_;
    my %m = (
        name => $name, endpoint_url => "$url/ext/$name", auth_credential_id => 'cred-1', model_architecture => 'openai',
        max_requests_per_minute => 600, max_tokens_per_minute => 200000, parameters => { temperature => 0.2, max_tokens => 512 },
        webhook_callback_url => "$url/hooks/callback", %change,
    );
    return write_file("$name.json", $json->encode(\%m));
}
my @route = ('route-prompts', '--model', 'model-gen-4');

rows 'indexes: credentials, token, requests', sub {
    reset_all(scopes => ['ai:vectorstore:read', 'ai:vectorstore:write']);
    my $file = index_file('orders', webhookSyncUrl => "$url/hooks/sync");
    my $r = ends(job('--json', 'deploy-index', $file), 0, '1: the names of the tutorial are enough, and its two scopes');
    my ($token) = requests(POST => qr{^/oauth/token$});
    is($token->{body}, 'grant_type=client_credentials', '4: the form, without a scope');
    is(() = requests(POST => qr{^/oauth/token$}), 1, '3: one token');
    my ($put) = requests(PUT => qr{/vectorstores/vs-1/indexes/orders$});
    is($put->{headers}{accept}, 'application/json', '5: Accept');
    is_deeply([sort keys %{ json($put->{body}) }], [qw(autoIngestTrigger dimensions embeddingFormat indexId similarityMetric webhookSyncUrl)], '8: the body');
    is($put->{headers}{'if-none-match'}, '*', '9: a create says so');
    like($r->{data}{results}[0]{status}, qr/created/, '10: created');
    ok($r->{data}{results}[0]{syncEventId} // $r->{data}{results}[0]{sync_event_id}, '11: the sync event') or diag($r->{out});
    my ($line) = grep { $_->{action} eq 'index_update' && ($_->{phase} // '') eq 'outcome' } audit();
    is($line->{similarity_metric}, 'cosine', '12: the audit names the metric');
    is($line->{dimensions}, 768, '12: and the dimensions');
    like($line->{retrieval_precision}, qr/^0\.97/, '12: and the precision');
    ok(defined $line->{latency_ms}, '12: and the latency');
    ok($line->{correlationId} // $line->{correlation_id}, '13: a correlation id, though the gateway gives none') or diag($json->encode($line));
    like($json->encode($put->{headers}), qr/correlation/i, '13: which was sent');

    my $changed = index_file('orders', webhookSyncUrl => "$url/hooks/sync", dimensions => 1024);
    ends($r = job('--json', 'deploy-index', $changed), 0, '10: and updated');
    like($r->{data}{results}[0]{status}, qr/updated/, '10: updated');
    my @put = requests(PUT => qr{orders$});
    is($put[-1]{headers}{'if-match'}, '"1"', '9: with the ETag that was read');

    reset_all(tokenSeconds => 2);
    ends(job('deploy-index', map { index_file("many-$_") } 1 .. 20), 0, '3: a short-lived token is renewed');
    is(() = (grep { $_->{status} eq '401' } requests(PUT => qr{indexes})), 0, '3: before it is refused');
};

rows 'indexes: refusals', sub {
    reset_all();
    my $r = ends(job('deploy-index', write_file('bad.json', '{"indexId":"x","dimensions":9000,"similarityMetric":"cos","embeddingFormat":"f"}')), 3, '6: a bad file');
    like($r->{err}, qr/\b$_\b/, "6: $_ is in the report") for qw(dimensions similarityMetric embeddingFormat);
    is(scalar @{ seen()->{requests} }, 0, '6: nothing was sent');
    ends(job('deploy-index', '--precision', 'high', index_file('deep', dimensions => 3000)), 3, '7: the limit of high precision');

    reset_all();
    rule(method => 'PUT', path => 'indexes', status => 400, body => 'dimensions exceeds the maximum for the backend');
    $r = ends(job('deploy-index', index_file('t16')), 3, '16: 400 with a text');
    like($r->{err}, qr/exceeds the maximum for the backend/, "16: the gateway's reason is shown");
    rule(method => 'PUT', path => 'indexes', status => 422, body => { message => 'schema validation failed: body', errors => [{ field => 'shards', message => 'is not known' }] });
    $r = job('deploy-index', index_file('t17'));
    like($r->{err}, qr/schema validation failed: body/, '17: the message');
    like($r->{err}, qr/shards.*is not known/, '17: and the field');

    for my $status (409, 412) {
        reset_all(mismatch => $status);
        control(index => { key => 'vs-1/t18', configuration => json(read_file(index_file('t18'))) });
        rule(method => 'PUT', path => 't18', interfere => { key => 'vs-1/t18', configuration => { %{ json(read_file('t18.json')) }, dimensions => 512 } });
        ends($r = job('deploy-index', index_file('t18', dimensions => 1536)), 5, "18: $status is a conflict");
        like($r->{err}, qr/512/, '18: which shows theirs');
        ends(job('deploy-index', '--on-conflict', 'overwrite', 't18.json'), 0, '18: and can be overwritten');
    }
    reset_all();
    control(index => { key => 'vs-1/t19', configuration => json(read_file(index_file('t19'))) });
    rule(method => 'PUT', path => 't19', status => 409, times => 2, body => { message => 'the index is being processed', code => 'busy' });
    ends(job('deploy-index', index_file('t19', dimensions => 99)), 0, '19: a busy index is waited for');
};

rows 'indexes: limits and outages', sub {
    my $r;
    for my $case ([20, 429, 2500], [22, 503, 1500]) {
        my ($row, $status, $ms) = @$case;
        reset_all();
        rule(method => 'PUT', path => 'indexes', times => 9999, status => $status, forMs => $ms);
        ends(job('deploy-index', index_file("t$row")), 0, "$row: $status for $ms ms, without Retry-After, is outlasted");
    }
    reset_all();
    rule(method => 'PUT', path => 'indexes', status => 429, headers => { 'Retry-After' => '2' });
    ends(job('deploy-index', index_file('t21')), 0, '21: Retry-After');
    my @put = requests(PUT => qr{t21$});
    cmp_ok($put[1]{at} - $put[0]{at}, '>=', 1990, '21: is obeyed');

    reset_all();
    ends(job('deploy-index', index_file('t23')), 0, 'an index');
    rule(method => 'GET', path => 'indexes', times => 9999, status => 503);
    $r = job('--queue', '--deadline', '3s', 'deploy-index', index_file('t23', dimensions => 64));
    ends($r, 9, '23, 24: with --queue a write is kept while the gateway is away');
    reset_all();
    rule(method => 'PUT', path => 'indexes', times => 9999, status => 503);
    ends(job('--queue', '--deadline', '3s', 'deploy-index', index_file('t24')), 9, '24: whichever request met it');
    like(job('queue', 'list')->{text}, qr/t24/, '24: and stands in the queue');

    reset_all();
    rule(method => 'PUT', path => 'indexes', times => 99999, status => 503, forMs => 1000);
    ends(job('deploy-index', map { index_file("b$_") } 1 .. 30), 0, '25: a batch outlasts a second of 503');

    for my $cut (qw(before after mid)) {
        reset_all();
        rule(method => 'PUT', path => 'indexes', cut => $cut);
        ends(job('deploy-index', index_file("t26$cut")), 0, "26: a connection cut ($cut)");
        is(seen()->{revisions}{"vs-1/t26$cut"}, 1, '26: one write took effect');
    }
    reset_all();
    rule(method => 'PUT', path => 'indexes', delay => 4000);
    $r = ends(job('--deadline', '1s', 'deploy-index', index_file('t27')), 6, '27: a slow answer ends at the deadline');
    like($r->{err}, qr/deadline/, '27: and says so');
};

rows 'prompts: requests and answers', sub {
    my @scopes = ('ai:gateway:write', 'ai:prompt:execute', 'ai:analytics:read');
    reset_all(scopes => \@scopes);
    my $r = ends(job('--json', @route, '--fallback', 'model-fallback-3', '--safety', 'pii', '--prompt', 'Hello'), 0, "36: the tutorial's scopes are enough");
    my ($sent) = requests(POST => qr{gateway/prompts$});
    like($sent->{headers}{'x-genesys-request-id'}, qr/^[0-9a-f-]{36}$/, '28: X-Genesys-Request-Id');
    like($sent->{headers}{'x-correlation-id'}, qr/^route-[0-9a-f-]{36}$/, '28: X-Correlation-Id');
    my $body = json($sent->{body});
    is($body->{parameters}{maxTokens}, 2048, '29: maxTokens');
    is($body->{parameters}{topP}, 0.95, '29: topP');
    is_deeply($body->{safetyFilters}, ['pii'], '29: safetyFilters');
    ok($body->{metadata}{routingVersion} && $body->{metadata}{dispatchSource}, '30: metadata');
    reset_all();
    ends(job(@route, '--temperatures', 'default=0.7,low=0.1,high=1.3', '--temperature', 'low', '--prompt', 'x'), 0, '31: a temperature matrix');
    is(json((requests(POST => qr{prompts$}))[0]{body})->{parameters}{temperature}, 0.1, '31: picks the temperature');
    ends(job(@route, '--prompt', 'x' x 8001), 3, '32: 8,000 characters are the limit');
    ends(job(@route, '-c', 3, '--prompt', 'x'), 0, '33: concurrency');
    for my $form (qw(output choices text completion response content)) {
        reset_all(answer => $form);
        $r = ends(job('--json', @route, '--prompt', 'Hello'), 0, "37: an answer of the form '$form'");
        like($r->{out}, qr/an answer to 5 characters/, '37: its text is in the result');
    }
    for my $form (qw(other empty)) {
        reset_all(answer => $form);
        $r = ends(job('--json', @route, '--prompt', 'Hello'), 0, "37: an answer without a known text ('$form')");
        like($r->{out}, qr/spoken/, '37: is kept') if $form eq 'other';
        like($r->{err}, qr/warn/i, '37: with a warning');
    }
};

rows 'prompts: fallbacks and errors', sub {
    my $r;
    my @chain = (@route, '--fallback', 'model-fallback-3', '--prompt', 'Hello');
    reset_all();
    rule(method => 'POST', path => 'prompts', status => 503);
    ends(job('--json', @chain), 0, '34: 503 goes to the next model');
    is(join(' ', map { json($_->{body})->{modelId} } requests(POST => qr{prompts$})), 'model-gen-4 model-fallback-3', '34: in order');
    reset_all();
    rule(method => 'POST', path => 'prompts', status => 422, body => { message => 'blocked by policy' });
    ends(job(@chain), 0, '35: a policy refusal in other words goes to the next model');

    reset_all();
    ends(job('--json', @chain), 0, 'a prompt');
    my ($line) = grep { $_->{action} eq 'prompt_route' } audit();
    ok(defined $line->{$_}, "38: the audit has $_") for qw(modelId requestId latencyMs hitRate);
    is($line->{status}, 'ok', '39: and what became of it (the message of row 40 has the 200)');

    my $dir = project('per_prompt', <<"LUA");
return { webhooks = { audit = { url = "$url/hooks/audit", format = "flat", per_prompt = true } } }
LUA
    reset_all();
    ends(job({ dir => $dir }, @route, '--prompt', 'one'), 0, 'with a webhook for each prompt');
    my @hooks = grep { $_->{path} eq '/hooks/audit' } hooks();
    ok(@hooks >= 1, '40: a message for the prompt');
    is($hooks[0]{headers}{'x-audit-source'}, 'genesys-router', '40: X-Audit-Source');
    is($hooks[0]{json}{modelId}, 'model-gen-4', '40: the entry at the top level') or diag($hooks[0]{body});
    is($hooks[0]{json}{status}, 200, '39: with the status of the answer') or diag($hooks[0]{body});
    reset_all();
    $r = job('--json', @chain);
    like($r->{out}, qr/hit_?rate/i, '41: the hit rate of each model');

    reset_all();
    rule(method => 'POST', path => 'prompts', status => 401, body => { message => 'expired' });
    ends(job(@route, '--prompt', 'x'), 0, '42: one 401 mints a new token');
    reset_all(scopes => ['ai:gateway:write']);
    $r = ends(job(@route, '--prompt', 'x'), 4, '43: a missing scope');
    like($r->{err}, qr/ai:prompt:execute/, '43: is named');
    reset_all();
    rule(method => 'POST', path => 'prompts', times => 9, status => 403, body => { message => 'model restricted for this tenant' });
    $r = job(@route, '--prompt', 'x');
    like($r->{err}, qr/model restricted for this tenant/, "44: a restricted model, in the gateway's words");
    reset_all();
    ends(job('route-prompts', '--model', 'no-such-model', '--prompt', 'x'), 3, '45: an unknown model');
    reset_all(plainLists => JSON::PP::true());
    ends(job(@route, '--prompt', 'x'), 0, '45: a listing that is a bare list');

    reset_all();
    rule(method => 'POST', path => 'prompts', times => 3, status => 429);
    ends(job(@route, '--prompt', 'x'), 0, '46: 429 three times');
    reset_all(remaining => JSON::PP::false());
    rule(method => 'POST', path => 'prompts', status => 429, headers => { 'Retry-After' => '1', 'X-RateLimit-Remaining' => '0' });
    my $start = time;
    ends(job(@route, '--prompt', 'x'), 0, '47: 429 with Retry-After and nothing remaining');
    cmp_ok(time - $start, '<', 12, '47: waits for the one, not for a minute');
    ends(job(@route, '--prompt', 'x'), 0, '47: and the next run is not locked out');
    reset_all();
    like(job('-vv', @route, '--prompt', 'x')->{err}, qr/remaining|299/, '48: what remains of the limit is shown');
    reset_all();
    rule(method => 'POST', path => 'prompts', status => 400, body => { error => 'topP is not supported by this model' });
    like(job(@route, '--prompt', 'x')->{err}, qr/topP is not supported/, "49: the reason of a 400");
};

rows 'templates', sub {
    my $r;
    my @scopes = ('ai:prompt-template:read', 'ai:prompt-template:write', 'ai:llm-gateway:manage');
    reset_all(scopes => \@scopes);
    ends($r = job('--json', 'promote-template', template_file('greeting')), 0, 'a promotion with the scopes of the tutorial');
    my ($sent) = requests(POST => qr{greeting/versions$});
    is($sent->{headers}{'x-genesys-ab-test'}, 'variant=v2_1_0_beta,traffic=20', '50: X-Genesys-AB-Test');
    my $body = json($sent->{body});
    ok(exists $body->{$_}, "52: $_ is sent") for qw(templateId version content variables rollbackDirective abTestingTrigger metadata);
    my ($line) = grep { $_->{action} eq 'VERSION_PROMOTION' } audit();
    ok(exists $line->{$_}, "55: the audit has $_") for qw(status latencyMs auditId rollbackDirective estimatedContextTokens);
    ends(job('promote-template', template_file('eighth', abTestingTrigger => { enabled => JSON::PP::true(), trafficPercent => 0.125, variantId => 'b' })), 3, '51: an eighth of the traffic');
    $r = ends(job('promote-template', template_file('unused', variables => { customer => 'string', language => 'string', other => 'string' }, content => '{{customer}} {{language}} {{none}}')), 3, '53: placeholders and variables');
    like($r->{err}, qr/none.*other|other.*none/s, '53: both errors are named');
    ends(job('promote-template', template_file('long', content => '{{customer}}{{language}}' . 'x' x 4096)), 3, '53: 4,096 characters');

    my $dir = project('flat', qq{return { webhooks = { registry = { url = "$url/hooks/registry", format = "flat" } } }\n});
    reset_all();
    ends(job({ dir => $dir }, '--json', 'promote-template', "$Moon::dir/" . template_file('hooked')), 0, 'with a webhook');
    my ($hook) = grep { $_->{path} eq '/hooks/registry' } hooks();
    is($hook->{json}{templateId}, 'hooked', '57: the audit object at the top level') or diag($hook->{body});
    ($line) = grep { $_->{action} eq 'VERSION_PROMOTION' && exists $_->{webhookSynced} } audit($dir);
    is($line->{webhookSynced}, JSON::PP::true(), '56: webhookSynced after the delivery');
    ok(exists $line->{generationSuccessRate}, '54: generationSuccessRate stands there');

    reset_all();
    rule(method => 'POST', path => 'versions', status => 401, body => { message => 'expired' });
    ends(job('promote-template', template_file('t58')), 0, '58: one 401');
    rule(method => 'POST', path => 'versions', status => 400, body => { message => 'invalid template', details => ['variables: too many'] });
    $r = job('promote-template', template_file('t59'));
    like($r->{err}, qr/invalid template/, '59: the message');
    like($r->{err}, qr/variables: too many/, '59: and the details that are texts');
    for my $plain (JSON::PP::false(), JSON::PP::true()) {
        reset_all(plainLists => $plain);
        ends(job('promote-template', template_file('t60')), 0, 'a version');
        $r = ends(job('promote-template', template_file('t60', content => 'Other words for {{customer}} in {{language}}.')), 5, '60: the version exists with other content');
        is(() = requests(POST => qr{t60/versions$}), 1, '60: the listing tells, before anything is sent');
        $r = ends(job('promote-template', template_file('t60')), 5, '60: and with the same content, too');
        like($r->{err}, qr/same content/, '60: which is said');
    }
    reset_all();
    ends(job('promote-template', template_file('t61')), 0, 'a version');
    ends(job('promote-template', '--id', 't61', '--rollback', '2.1.0'), 0, '64: a rollback');
    is(json((requests(POST => qr{t61/versions$}))[-1]{body})->{rollbackDirective}, JSON::PP::true(), '64: says so');
    $r = ends(job('promote-template', template_file('t61', version => '2.2.0')), 5, '61: an active rollback');
    like($r->{err}, qr/--end-rollback/, '61: the hint names the way out');
    reset_all();
    rule(method => 'POST', path => 'versions', times => 9999, status => 429, forMs => 3000);
    ends(job('promote-template', template_file('t62')), 0, '62: 429 for three seconds');
    reset_all();
    rule(method => 'POST', path => 'versions', cut => 'after');
    ends($r = job('promote-template', template_file('t63')), 0, '63: an answer that was lost');
    is(() = requests(POST => qr{t63/versions$}), 1, '63: the listing proves the promotion; it is not sent again');
};

rows 'configurations', sub {
    my $r;
    my %T3 = (GENESYS_CLOUD_CLIENT_ID => '', GENESYS_CLOUD_CLIENT_SECRET => '', GENESYS_CLIENT_ID => 'tutorial-client', GENESYS_CLIENT_SECRET => 'tutorial-secret');
    my @scopes = ('ai:llm:manage', 'ai:models:read', 'integrations:webhook:manage');
    for my $status (405, 404) {
        reset_all(scopes => \@scopes, noRead => $status);
        ends($r = job({ env => \%T3 }, '--json', 'configure-model', configuration_file('plain')), 0, "65, 68: only PUT is served (a GET is answered $status)");
        is(() = requests(PUT => qr{configuration$}), 1, '68: one PUT');
    }
    ends(job({ env => \%T3 }, 'configure-model', configuration_file('bad', max_tokens => 9000, temperature_matrix => { default => 1.2, creative => 1.2, precise => 0.2 })), 3, '66: ranges');
    my ($line) = grep { $_->{action} eq 'configuration_update' && ($_->{phase} // 'outcome') ne 'intent' } audit();
    ok(exists $line->{$_}, "69: the audit has $_") for qw(model_id status latency_ms payload_hash compliance_mode);

    my $caps = write_file('capabilities.json', '{"max_context_window": 1024, "restricted_safety_filters": ["pii"]}');
    reset_all();
    ends(job('configure-model', '--capabilities', $caps, configuration_file('wide')), 3, '67: capabilities from a file');
    is(() = requests(PUT => qr{configuration$}), 0, '67: nothing was sent');
    reset_all(readable => JSON::PP::true());
    ends(job('configure-model', configuration_file('window', max_tokens => 8000)), 3, '67: capabilities at the top level of the model');
    is(() = requests(PUT => qr{configuration$}), 0, '67: nothing was sent');

    my $dir = project('governance', qq{return { webhooks = { governance = { url = "$url/hooks/governance", format = "flat" } } }\n});
    reset_all();
    ends($r = job({ dir => $dir }, '--json', 'configure-model', "$Moon::dir/" . configuration_file('hooked')), 0, 'with a webhook');
    my ($hook) = grep { $_->{path} eq '/hooks/governance' } hooks();
    is($hook->{json}{event_type}, 'llm_config_change', '70: event_type') or diag($hook->{body});
    is($hook->{json}{configuration_snapshot}{safety_filters_count}, 1, '70: configuration_snapshot');
    ok($hook->{json}{audit_log}, '70: audit_log');
    like($r->{out}, qr/success_rate/, '72: metrics');
    $dir = project('away', qq{return { webhooks = { governance = { url = "http://127.0.0.1:9/gone" } } }\n});
    reset_all();
    ends(job({ dir => $dir }, 'configure-model', "$Moon::dir/hooked.json"), 0, '71: a webhook that fails does not fail the update');
    like(job({ dir => $dir }, 'outbox', 'list')->{out}, qr/llm_config_change/, '71: and its message is kept');

    reset_all();
    rule(method => 'PUT', path => 'configuration', status => 400, body => { errors => ['max_tokens exceeds model capability limit of 512'] });
    $r = job('--json', 'configure-model', configuration_file('t73'));
    like($_, qr/exceeds model capability limit of 512/, '73: the errors of a 400') for $r->{out};
    rule(method => 'PUT', path => 'configuration', status => 401, body => { message => 'expired' });
    ends(job('configure-model', configuration_file('t74')), 0, '74: one 401');
    for my $case ([75, 429], [76, 503]) {
        reset_all();
        rule(method => 'PUT', path => 'configuration', times => 9999, status => $case->[1], forMs => 2500);
        ends(job('configure-model', configuration_file("t$case->[0]")), 0, "$case->[0]: $case->[1] for 2.5 s");
    }
    reset_all();
    rule(method => 'PUT', path => 'configuration', times => 9999, status => 503);
    ends(job('--queue', '--deadline', '3s', 'configure-model', configuration_file('queued')), 9, '76: or the write is queued');
};

rows 'registrations', sub {
    my $r;
    my %T4 = (
        GENESYS_CLOUD_REGION => '', GENESYS_CLOUD_CLIENT_ID => '', GENESYS_CLOUD_CLIENT_SECRET => '', GENESYS_CLOUD_HOST => $url,
        GENESYS_OAUTH_CLIENT_ID => 'tutorial-client', GENESYS_OAUTH_CLIENT_SECRET => 'tutorial-secret', EXTERNAL_AI_TOKEN => 'external-token-1',
    );
    my @scopes = ('ai:llm-gateway:write', 'ai:llm-gateway:read', 'ai:jobs:read');
    reset_all(scopes => \@scopes);
    ends($r = job({ env => \%T4 }, '--json', 'register-model', model_file('plain')), 0, "77, 78: the tutorial's names and scopes are enough");
    my ($sent) = requests(POST => qr{llm-gateway/models$});
    my $body = json($sent->{body});
    is_deeply($body->{rateLimits}, { maxRequestsPerMinute => 600, maxTokensPerMinute => 200000 }, '79: rateLimits');
    is($body->{$_->[0]}, $_->[1], "79: $_->[0]") for [endpointUrl => "$url/ext/plain"], [authCredentialId => 'cred-1'], [modelArchitecture => 'openai'];
    cmp_ok(scalar(requests(GET => qr{/jobs/})), '>=', 2, '80: the job is polled');
    my ($test) = requests(POST => qr{chat/completions$});
    like($test->{body}, qr/VALIDATION_SUCCESS/, '83: the synthetic test');
    is($test->{headers}{authorization}, 'Bearer external-token-1', '77: the token goes to the endpoint');
    is(() = (grep { ($_->{headers}{authorization} // '') =~ /external/ } @{ seen()->{requests} }), 1, '77: and nowhere else');
    is(() = requests(POST => qr{health-checks$}), 1, '85: the health check');
    my ($line) = grep { $_->{action} eq 'model_registration' && exists $_->{validationStatus} } audit();
    ok(exists $line->{$_}, "87: the audit has $_") for qw(payloadHash jobDurationMs validationStatus latencyMs compliance);
    my ($hook) = grep { $_->{path} eq '/hooks/callback' } hooks();
    is($hook->{json}{event}, 'llm_model_registration_updated', '86: the callback of the model') or diag($hook ? $hook->{body} : 'no message');
    is($hook->{json}{status}, 'COMPLETED', '86: its status');
    ok(exists $hook->{json}{metrics}{$_}, "86: metrics.$_") for qw(jobDurationMs validationLatencyMs);

    reset_all(jobEnd => { status => 'FAILED', errors => ['the credential is not known'] });
    like(job({ env => \%T4 }, 'register-model', model_file('failed'))->{err}, qr/credential is not known/, "80: a failed job's reason");
    for my $cut (qw(after before)) {
        reset_all(eager => JSON::PP::true());
        rule(method => 'POST', path => 'llm-gateway/models$', cut => $cut);
        $r = job('register-model', '--job-deadline', '5s', model_file("cut$cut"));
        is(() = (requests(POST => qr{llm-gateway/models$})), 1, "81: an answer that was lost ($cut): not sent again") if $cut eq 'after';
        cmp_ok((() = grep { $_->{name} eq "cut$cut" } @{ json($http->get("$url/api/v2/ai/models", { headers => { authorization => 'Bearer ' . token() } })->{content})->{entities} }), '<=', 1, '81: never two models');
    }
    reset_all();
    rule(method => 'GET', path => '/jobs/', times => 2, status => $_) for 429, 503;
    ends(job('register-model', model_file('polled')), 0, '82: 429 and 503 while polling');
    reset_all(said => 'Sorry?');
    ends($r = job('register-model', model_file('wordy')), 8, '83: a test that fails');
    reset_all();
    rule(method => 'POST', path => 'chat/completions', delay => 16_000);
    ends(job('--max-time', '50s', 'register-model', '--test-timeout', '2s', model_file('slow')), 8, '84: a slow endpoint') if job('help', 'register-model')->{out} =~ /--test-timeout/;
    for my $case ([{ status => 'UNHEALTHY', reason => 'no quota' }, qr/no quota/], [{}, qr/health/i]) {
        reset_all(health => $case->[0]);
        ends($r = job('register-model', model_file('sick')), 8, '85: not healthy');
        like($r->{text}, $case->[1], '85: in its words');
    }
    reset_all(scopes => ['ai:llm-gateway:read']);
    $r = ends(job('register-model', model_file('scope')), 4, '88: a missing scope');
    like($r->{err}, qr/ai:llm-gateway:write/, '88: is named');
    like(job('doctor')->{out}, qr/ai:llm-gateway:write/, '88: doctor lists the scopes of each job');
    reset_all();
    rule(method => 'POST', path => 'llm-gateway/models$', times => 9999, status => 429, forMs => 3000);
    ends(job('register-model', model_file('throttled')), 0, '89: 429 for three seconds');
    reset_all();
    rule(method => 'POST', path => 'llm-gateway/models$', status => 400, body => { message => 'Schema validation failed', errors => [{ field => 'name', message => 'is reserved' }] });
    like(job('register-model', model_file('reserved'))->{err}, qr/name.*is reserved/, '90: the field of a violation');

    reset_all(polls => 9999);
    $r = ends(job('register-model', '--run-id', 'late', '--job-deadline', '2s', model_file('late')), 6, '91: a job that takes too long');
    control(set => { polls => 0 });
    ends(job('runs', 'resume', 'late'), 0, '91: is resumed');
    is(() = requests(POST => qr{llm-gateway/models$}), 1, '91: without a second registration');
    reset_all();
    rule(method => 'POST', path => 'chat/completions', times => 9, status => 500, body => { error => { message => 'overloaded' } });
    $r = job('register-model', '--run-id', 'sick-endpoint', model_file('endpoint'));
    isnt($r->{status}, 0, '91: an endpoint that fails');
    reset_all();
    ends(job('register-model', model_file('same')), 0, 'a registration');
    ends(job('register-model', 'same.json'), 0, '92: the same file again');
    is(() = (grep { json($_->{body})->{name} eq 'same' } requests(POST => qr{llm-gateway/models$})), 1, '92: registers nothing');
};

sub token {
    my $r = $http->post("$url/oauth/token", { headers => { authorization => 'Basic ' . MIME::Base64::encode_base64('tutorial-client:tutorial-secret', '') }, content => 'grant_type=client_credentials' });
    return json($r->{content})->{access_token};
}
use MIME::Base64 ();

rows 'hosts' => sub {
    reset_all();    # a proxy that refuses: no name is looked up, nothing leaves this machine
    my $r = job({ env => { GENESYS_CLOUD_REGION => 'us-east-1.my.genesyscloud.com', HTTPS_PROXY => 'http://127.0.0.1:9' } }, 'doctor');
    like($r->{text}, qr{https://us-east-1\.my\.genesyscloud\.com}, '2: the host of the tutorial is recognised');
    unlike($r->{text}, qr/api\.us-east-1\.my/, '2: as it is');
};
done_testing;
