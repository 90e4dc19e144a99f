#!/usr/bin/env perl
# Every line of the audit log says which gateway, client, user, host and run it is of, and whether it was real; --sim writes to a log and a state of its
# own, whatever names one.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../e2e/lib";
use Moon;
use Sys::Hostname;
use Test::More;

my $sim = start_sim();
my %env = (%{ $sim->{env} }, GENESYSCLOUD_OAUTHCLIENT_ID => $sim->{env}{GENESYSCLOUD_OAUTHCLIENT_ID});
my $index = index_file('orders');
my $template = "$root/scripts/examples/support_answer.txt";
sub lines { my ($file) = @_; map { json($_) } slurp_lines($file) }
my $user = getpwuid $>;
(my $gateway = $sim->{url}) =~ s{^http://}{};

write_file('moongate.lua', 'return { webhooks = { a = { url = "' . $sim->{url} . '/__sim/webhooks/a" } } }');
for my $args ([ 'deploy-index', $index ], [ 'promote-template', $template ], [ 'route-prompts', '--model', 'sim-small', '--prompt', 'hello there' ], [ 'register-model', "$root/scripts/examples/model.json" ]) {
    my $r = moon({ env => \%env }, '--run-id', "id-$args->[0]", '-q', '--deadline', '2s', @$args);
    like($r->{status}, $args->[0] eq 'register-model' ? qr/^8$/ : qr/^0$/, $args->[0]) or diag($r->{err}); # its endpoint is not there
}
my @all = lines('.moongate/audit.jsonl');
my %actions = map { $_->{action} => 1 } @all;
ok($actions{$_}, "there is $_") for qw(index_update index_confirm VERSION_PROMOTION prompt_route model_registration webhook_delivery);
for my $l (@all) {
    my $name = "$l->{seq} $l->{action}";
    is("@{$l}{qw(gateway client_id user host)}", "$gateway $env{GENESYSCLOUD_OAUTHCLIENT_ID} $user " . hostname(), "$name: where and who");
    like($l->{run} // '', qr/^id-/, "$name: which run");
    ok(!$l->{simulated}, "$name: real");
}
is(moon('audit', 'verify')->{status}, 0, 'every hash is good');
my $of = sub { json(moon('--json', 'audit', 'show', @_)->{out}) };
is(scalar @{ $of->('--run', 'id-deploy-index') }, scalar(grep { $_->{run} eq 'id-deploy-index' } @all), 'audit show --run');
is_deeply($of->('--run', 'id-none'), [], 'of a run that there is not');
is(scalar(grep { $_->{action} !~ /^index_/ } @{ $of->('--run', 'id-deploy-index', '--action', 'index_update', '--action', 'index_confirm') }), 0, 'with two actions');

# A torn line's own event, too.
write_file('torn.jsonl', substr read_file('.moongate/audit.jsonl'), 0, -9);
moon({ env => \%env }, '--audit-log', 'torn.jsonl', '-e', 'require "moongate.audit".event { action = "x" }');
my ($torn) = grep { $_->{action} eq 'torn_line_set_aside' } lines('torn.jsonl');
is($torn->{user} // '', $user, 'a torn line is set aside by somebody');

# ---- simulated ----

my $before = read_file('.moongate/audit.jsonl');
my $run = sub { my ($env, @args) = @_; is(moon({ env => $env }, '--sim', @args, '-q', 'deploy-index', $index)->{status}, 0, "--sim @args") };
$run->({});
ok((grep { $_->{simulated} } lines('.moongate/sim/audit.jsonl')) == (() = lines('.moongate/sim/audit.jsonl')), 'each event says that it is simulated');
$run->({}, '--state', '.moongate');
$run->({}, '--state', 'sqlite:one.db');
ok(-e 'one.db.sim' && !-e 'one.db', 'a state of its own beside the file');
$run->({}, '--audit-log', '.moongate/audit.jsonl');
ok(-s '.moongate/audit.jsonl.sim', 'a log of its own beside one that has real events');
$run->({ MOONGATE_AUDIT_LOG => "$dir/env.jsonl", MOONGATE_STATE => "$dir/env" });
ok(-s 'env.jsonl.sim' && !-e 'env.jsonl' && -d 'env/sim' && !-e 'env/state.db', "the environment's log and state are not touched");
is(read_file('.moongate/audit.jsonl'), $before, 'the real log is as it was');
is(scalar(() = moon('runs', 'list')->{out} =~ /^id-/mg), 4, 'and the real state');
is(scalar(() = moon('runs', 'list')->{out} =~ /^\S/mg), 5, 'which has no simulated run (a heading and four)');
$run->({}, '--audit-log', 'new.jsonl');
ok(-s 'new.jsonl', 'a log that is named for it');
my $r = moon({ env => \%env }, '-q', '--audit-log', 'new.jsonl', 'deploy-index', index_file('fresh'));
isnt($r->{status}, 0, 'nothing real is written to it');
like($r->{out} . $r->{err}, qr/new\.jsonl has events of a simulated gateway/, 'and why is said');
is(moon('audit', 'show', 'new.jsonl', '--action', 'index_confirm')->{out} =~ /simulated=true/ ? 1 : 0, 1, 'audit show says that it is simulated');
write_file('cut.jsonl', substr read_file('new.jsonl'), 0, 40);
$run->({}, '--audit-log', 'cut.jsonl');
ok(!-e 'cut.jsonl.sim', 'a first line that was cut short says nothing of its kind');
done_testing;
