#!/usr/bin/env perl
# plan and apply from outside. A plan's id is what another implementation of canonical JSON makes of it; a recording proxy sees that exactly the
# plan is written; what somebody else wrote since is left alone; one plan is applied once, by however many processes.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Digest::SHA qw(sha256_hex);
use HTTP::Tiny;
use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use Moon;
use Test::More;

my $coder = JSON::PP->new->canonical->utf8;
my $sim   = start_sim('--rate-limit', 0);
my $small = '5a3e1a00-0000-4000-8000-000000000001';
my %env   = (%{ $sim->{env} }, GENESYS_CLOUD_VECTOR_STORE_ID => 'vs');
mkdir $_ for qw(indexes templates models configurations);

sub index_of { my ($id, $dimensions) = @_; { indexId => $id, dimensions => $dimensions, similarityMetric => 'cosine', embeddingFormat => 'float32' } }
sub put_file { my ($name, $value) = @_; write_file($name, $coder->encode($value)) }
sub set_up {
    HTTP::Tiny->new->delete("$sim->{url}/__sim/faults");
    sim_post($sim, 'reset');
    unlink glob('{indexes,templates,models,configurations}/*'), glob('*.json');
    put_file("indexes/i$_.json", index_of("i$_", 8)) for 1 .. 5;
}
sub try_it {
    my ($status, @args) = @_;
    my $r = moon({ env => { %env, ref $args[0] ? %{ shift @args } : () } }, @args);
    is($r->{status}, $status, "@args: $status") or diag("$r->{out}$r->{err}");
    return $r;
}
sub plan_doc { json(read_file($_[0])) }
sub results { my $doc = json($_[0]{out}); return { map { $_->{address} => $_->{status} } @{ $doc->{results} } } }

# Another client.
sub foreign_put {
    my ($id, $value) = @_;
    my $http  = HTTP::Tiny->new;
    my $basic = encode_base64("$sim->{env}{GENESYSCLOUD_OAUTHCLIENT_ID}:$sim->{env}{GENESYSCLOUD_OAUTHCLIENT_SECRET}", '');
    my $token = json($http->post_form("$sim->{url}/oauth/token", { grant_type => 'client_credentials' },
        { headers => { Authorization => "Basic $basic" } })->{content})->{access_token};
    my $url   = "$sim->{url}/api/v2/ai/vectorstores/vs/indexes/$id";
    my $etag  = $http->get($url, { headers => { Authorization => "Bearer $token" } })->{headers}{etag};
    my $r     = $http->put($url, { headers => { Authorization => "Bearer $token", 'Content-Type' => 'application/json',
            $etag ? ('If-Match' => $etag) : () }, content => $coder->encode($value) });
    die "$r->{status} $r->{content}" if !$r->{success};
}

subtest 'the whole of it: plan, apply, again, nothing left' => sub {
    set_up();
    put_file('templates/t.json', { templateId => 'greeting', version => '1.0.0', content => 'Hello {{name}}', variables => { name => 'string' } });
    put_file('models/m.json', json(read_file("$root/scripts/examples/model.json")));
    put_file('configurations/c.json', json(read_file("$root/scripts/examples/model_configuration.json")));
    like(try_it(8, 'plan', '--check')->{out}, qr/^8 to write \(5 create, 1 update, 1 promote, 1 register\), 0 unchanged$/m, 'the sums');
    try_it(0, 'plan', '--out', 'plan.json');
    my $doc = plan_doc('plan.json');
    is($doc->{id}, 'sha256:' . sha256_hex($coder->encode($doc->{plan})), 'the id is the hash of the canonical plan');
    is((stat 'plan.json')[2] & 0777, 0600, 'nobody else reads it');
    is_deeply([ map { "$_->{change}{actions}[0] $_->{kind}" } @{ $doc->{plan}{resource_changes} } ],
        [ ('create index') x 5, 'create template_version', 'create model', 'update model_configuration' ], 'a configuration comes after its model');
    my $r = try_it(0, '--json', 'apply', 'plan.json');
    is_deeply([ sort values %{ results($r) } ], [ ('applied') x 8 ], 'all applied');
    my $before = sim_get($sim, 'stats')->{requests};
    is_deeply(results(try_it(0, '--json', 'apply', 'plan.json')), results($r), 'the same command again says the same');
    is(sim_get($sim, 'stats')->{requests}, $before, 'and asks the gateway nothing');
    like(try_it(0, 'plan', '--check')->{out}, qr/^nothing to write, 8 unchanged$/m, 'nothing is left');
    like(try_it(0, 'audit', 'show')->{out}, qr/change=8.*plan=\Q$doc->{id}\E/, 'the audit log names plan and change');
    try_it(0, 'audit', 'verify');
};

subtest 'a recording proxy sees exactly the plan' => sub {
    need_peers();
    set_up();
    foreign_put("i$_", index_of("i$_", 4)) for 1, 3;
    try_it(0, { GENESYSCLOUD_REGION => my $url = (my $proxy = start_peer('recorder', $sim->{url}))->{info}{url} }, 'plan', '--out', 'plan.json');
    my %want = map { ($_->{place}{indexId} => $_) } @{ plan_doc('plan.json')->{plan}{resource_changes} };
    try_it(0, { GENESYSCLOUD_REGION => $url }, 'apply', 'plan.json');
    my @sent = map { json($_) } read_file($proxy->{log}) =~ /^sent (.*)$/mg;
    is(scalar @sent, 5, 'five writes');
    for my $request (@sent) {
        my $change = $want{ $request->{path} =~ s{.*/}{}r };
        is_deeply([ @$request{qw(method sha256 if_match)} ], [ 'PUT', $change->{after_hash}, $change->{base}{etag} ], "$request->{path}: as planned");
    }
};

subtest 'what somebody else wrote is left alone' => sub {
    for my $k (1 .. 5) {
        set_up();
        foreign_put("i$_", index_of("i$_", 4)) for 1 .. 5;
        try_it(0, 'plan', '--out', 'plan.json');
        foreign_put("i$k", index_of("i$k", 7));
        my $got = results(try_it(5, '--json', 'apply', '--on-failure=continue', '--run-id', "c$k", 'plan.json'));
        is_deeply($got, { map { ("index/vs/i$_" => $_ == $k ? 'conflict' : 'applied') } 1 .. 5 }, "i$k: that one alone");
        is(sim_get($sim, 'state')->{indexes}{vs}{"i$k"}{configuration}{dimensions}, 7, 'it is theirs');
    }
    set_up();
    foreign_put("i$_", index_of("i$_", 4)) for 1 .. 5;
    try_it(0, 'plan', '--out', 'plan.json');
    foreign_put('i2', index_of('i2', 7));
    my $got = results(try_it(5, '--json', 'apply', '--concurrency', 1, 'plan.json'));
    is_deeply($got, { 'index/vs/i1' => 'applied', 'index/vs/i2' => 'conflict', map { ("index/vs/i$_" => 'not_tried') } 3 .. 5 }, 'stop: nothing new is begun');
    foreign_put('i1', index_of('i1', 8));
    set_up();
    try_it(0, 'plan', '--out', 'plan.json');
    foreign_put('i4', index_of('i4', 8));
    is(results(try_it(0, '--json', 'apply', 'plan.json'))->{'index/vs/i4'}, 'already', 'the same content by somebody else');
};

subtest 'a failure in the middle' => sub {
    for my $k (1, 3, 5) {
        set_up();
        try_it(0, 'plan', '--out', 'plan.json');
        sim_post($sim, 'faults', "status=422,method=PUT,path=/indexes/i$k");
        my $got = results(try_it(3, '--json', 'apply', '--on-failure=continue', '--run-id', "f$k", 'plan.json'));
        is_deeply($got, { map { ("index/vs/i$_" => $_ == $k ? 'failed' : 'applied') } 1 .. 5 }, "i$k: every change has an entry");
    }
};

subtest 'twelve processes, one plan' => sub {
    set_up();
    try_it(0, 'plan', '--out', 'plan.json');
    sim_post($sim, 'faults', 'delay=0.3,method=PUT');
    my %wait = (env => { %env, MOONGATE_WAIT => '60s' });
    my $crowd = sub { my ($words) = @_; run({ env => \%env, seconds => 120 }, 'sh', '-c', "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do ($moongate $words apply plan.json >/dev/null 2>&1; echo \$?) & done; wait") };
    my %count;
    $count{$_}++ for split /\n/, $crowd->('')->{out};
    is(($count{0} // 0) + ($count{5} // 0), 12, 'one applies; the others leave, or come late and get its result') or diag(explain \%count);
    cmp_ok($count{0} // 0, '>=', 1, 'it is applied');
    is(scalar(grep { $_->{method} eq 'PUT' } @{ sim_get($sim, 'stats')->{last} }), 5, 'five writes in all');
    %count = ();
    $count{$_}++ for split /\n/, $crowd->('--wait 60s')->{out};
    is_deeply(\%count, { 0 => 12 }, 'with --wait all have the one result') or diag(explain \%count);
};

subtest 'what is not applied' => sub {
    set_up();
    try_it(0, 'plan', '--out', 'plan.json');
    my $doc = plan_doc('plan.json');
    my $sent = sub { scalar grep { $_->{method} eq 'PUT' } @{ sim_get($sim, 'stats')->{last} } };
    my $before = $sent->();
    $doc->{plan}{resource_changes}[0]{change}{after}{dimensions} = 9;
    put_file('forged.json', $doc);
    like(try_it(8, 'apply', 'forged.json')->{err}, qr/the plan was changed/, 'a changed plan');
    $doc = plan_doc('plan.json');
    $doc->{plan}{gateway} = 'https://api.example.com';
    $doc->{id} = 'sha256:' . sha256_hex($coder->encode($doc->{plan}));
    put_file('other.json', $doc);
    like(try_it(3, 'apply', 'other.json')->{err}, qr/is for https:\/\/api\.example\.com, and this is http:/, 'another gateway');
    write_file('project.lua', 'return { gateway = { kinds = { index = { lock = "none" } } } }');
    like(try_it(3, '--config', 'project.lua', 'apply', 'plan.json')->{err}, qr/another dialect/, 'another dialect');
    like(try_it(2, 'apply')->{err}, qr/--yes/, 'without a saved plan it asks');
    like(try_it(2, 'plan', 'elsewhere')->{err}, qr/not in a folder of resources/, 'files that nobody declared');
    put_file('indexes/bad.json', { indexId => 'bad' });
    put_file('templates/bad.json', { templateId => 'x' });
    like(try_it(3, 'plan')->{err}, qr{templates/bad\.json}, 'every error of every file');
    is($sent->(), $before, 'nothing was written');
    unlink 'indexes/bad.json', 'templates/bad.json';
    put_file('indexes/again.json', index_of('i1', 8));
    like(try_it(3, 'plan')->{err}, qr/i1/, 'a resource that is declared twice');
};

subtest 'kinds of the project file, and apply in one go' => sub {
    set_up();
    mkdir 'notes';
    put_file('notes/a.json', index_of('n1', 16));
    write_file('notes.lua', <<'LUA');
return {
  gateway = { kinds = { note = {
    path = "/api/v2/ai/vectorstores/{shelf}/indexes/{indexId}", content = "configuration", schema = "index",
  } } },
  resources = { { kind = "note", files = "notes", id = "/indexId", place = { shelf = "top" } } },
}
LUA
    my @config = ('--config', 'notes.lua');
    like(try_it(0, @config, 'plan')->{out}, qr{^note/top/n1  \(notes/a\.json\)  create$}m, 'a kind without a keeper of its own');
    is_deeply(results(try_it(0, @config, '--json', 'apply', '--yes', 'notes')), { 'note/top/n1' => 'applied' }, 'applied');
    like(try_it(0, @config, 'plan')->{out}, qr/nothing to write, 1 unchanged/, 'and nothing is left');
    like(try_it(0, '--dry-run', 'apply')->{out}, qr/5 to write/, 'a dry run shows the plan');
    like(try_it(0, 'plan', 'indexes/i2.json')->{out}, qr/^1 to write/m, 'one file');
    like(try_it(0, 'plan', '--only', 'index/vs/i[2]', '--only', 'index/vs/i3*')->{out}, qr/^1 to write/m, 'addresses are no patterns, but for a last *');
};

done_testing;
