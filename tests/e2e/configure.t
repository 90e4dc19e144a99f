#!/usr/bin/env perl
# configure-model from outside: Prism finds nothing wrong in what it sends or gets, drift is an exit status, governance gets what the audit log
# holds, and a run that is killed is finished by the next.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use Moon;
use Test::More;

my ($small, $large, $strict) = map { "5a3e1a00-0000-4000-8000-00000000000$_" } 1 .. 3;

sub config {
    my ($id, %change) = @_;
    return {
        model_id => $id, temperature_matrix => { default => 0.5, creative => 1.2, precise => 0.1 }, max_tokens => 2048,
        safety_filters => [{ filter_type => 'pii', action => 'redact', threshold => 70.5 }], compliance_mode => 'strict', %change,
    };
}
sub config_file { my ($name, $document) = @_; write_file("$name.json", JSON::PP->new->canonical->encode($document)) }
my $set = config_file('set', { configurations => { small => config($small), large => config($large), strict => config($strict) } });

subtest 'Prism before the simulator: requests and answers' => sub {
    need_peers();
    my $sim   = start_sim();
    my $prism = start_peer('prism', $sim->{url});
    my %env   = (%{ $sim->{env} }, GENESYSCLOUD_REGION => $prism->{info}{url});
    my $try   = sub {
        my ($what, $status, $want, @args) = @_;
        my $r = moon({ env => \%env }, 'configure-model', @args);
        is($r->{status}, $status, "$what: exit status") or diag("$r->{out}$r->{err}");
        my ($requests, $violations) = prism_said($prism);
        is_deeply($violations, [], "$what: nothing is against the document");
        my %count;
        $count{ (split)[0] }++ for @$requests;
        is_deeply(\%count, $want, "$what: the requests") or diag(join "\n", @$requests);
    };
    my $one = config_file('one', config($small));
    $try->('check: drift', 8, { POST => 1, GET => 2 }, '--check', $one);
    $try->('dry run', 0, { POST => 1, GET => 2 }, '--dry-run', $one);
    $try->('update', 0, { POST => 1, GET => 3, PUT => 1 }, $one);
    $try->('no change', 0, { POST => 1, GET => 2 }, $one);
    $try->('check: none', 0, { POST => 1, GET => 2 }, '--check', $one);
    $try->('a set, one of it done already', 0, { POST => 1, GET => 8, PUT => 2 }, $set);
    my $without = config($small);
    delete $without->{compliance_mode};
    $try->('without a mode', 0, { POST => 1, GET => 3, PUT => 1 }, config_file('without', $without));
    $try->('an unknown model', 3, { POST => 1, GET => 2 }, # the model, and the listing: some gateways serve only that
         config_file('ghost', config('5a3e1a00-0000-4000-8000-00000000ffff')));
    $try->('what the model can not do', 3, { POST => 1, GET => 1 }, config_file('wide', config($small, max_tokens => 4097)));
    sim_post($sim, 'faults', 'status=412,method=PUT,times=1');
    $try->('412 from the gateway', 0, { POST => 1, GET => 4, PUT => 2 }, '--on-conflict', 'rebase', $one);
};

subtest 'governance is told what the audit log holds' => sub {
    my $sim = start_sim();
    my $url = "$sim->{url}/__sim/webhooks/governance";
    my $log = "$dir/governance.jsonl";
    write_file('project.lua', <<"LUA");
return { webhooks = { governance = { url = "$url", events = { "llm_config_change" } } } }
LUA
    my $r = moon({ env => $sim->{env} }, '--config', 'project.lua', '--audit-log', $log, '--json', 'configure-model', $set);
    is($r->{status}, 0, 'three are configured') or diag("$r->{out}$r->{err}");
    my $result = json($r->{out});
    is($result->{metrics}{successes}, 3, 'and counted');
    is($result->{metrics}{success_rate}, 1, 'all of them');
    my %written = map { $_->{audit_id} => $_ } grep { $_->{action} eq 'configuration_update' && $_->{phase} eq 'outcome' } map { json($_) } slurp_lines($log);
    is_deeply([sort map { $_->{audit_id} } @{ $result->{results} }], [sort keys %written], 'each has its line in the audit log');
    is(scalar(grep { $_->{webhooks}[0]{delivered} } @{ $result->{results} }), 3, 'each was told') or diag($r->{out}, $r->{err});
    is(moon('audit', 'verify', $log)->{status}, 0, 'the log verifies');
};

subtest 'killed at any moment' => sub {
    my $sim = start_sim('--rate-limit', 1_000_000, '--fault', 'late=30,method=PUT');
    my $puts = sub { grep { $_->{method} eq 'PUT' } @{ sim_get($sim, 'stats')->{last} } };
    for my $round (1 .. 3) {
        sim_post($sim, 'reset');
        my $log = "$dir/killed-$round.jsonl";
        my $p = Moon::spawn({ env => $sim->{env} }, $moongate, '--audit-log', $log, 'configure-model', '--concurrency', 1, $set);
        my $end = time + 30;
        until ($puts->() >= $round || time > $end) { }    # each look is a request: no spinning
        kill KILL => $p->{pid};
        waitpid $p->{pid}, 0;
        my %intent = map { $_->{path} // '' => 1 } grep { $_->{phase} eq 'intent' } map { eval { json($_) } // () } slurp_lines($log);
        is(scalar(grep { !$intent{ $_->{path} } } $puts->()), 0, "round $round: what was sent was recorded first");
        my $r = moon({ env => $sim->{env} }, '--audit-log', $log, 'configure-model', $set);
        is($r->{status}, 0, "round $round: the next run finishes the job") or diag($r->{err});
        is(moon({ env => $sim->{env} }, 'configure-model', '--check', $set)->{status}, 0, "round $round: and nothing differs then");
    }
};
done_testing;
