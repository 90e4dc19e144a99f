#!/usr/bin/env perl
# Every bundled workflow is killed at a write, a sync, a rename, a send, an answer, and taken up again: the gateway then holds what it does
# after an uninterrupted run, nothing un-keyed was sent twice, every webhook was told, and the audit log verifies. strace kills: the nth call
# of a kind, of the process's one thread for files or of its main thread.
#   CRASH_EVERY=N   every Nth point only (default 25; `make crash` takes each of them)
#   CRASH_STATE     where state lies (crash_postgres.t); default: SQLite
#   CRASH_ONLY      a pattern that a workflow's name matches
# Then the same with a disk that fails: the nth write has no room, the nth sync gives EIO, once. The run says so, or does without.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Path qw(remove_tree);
use Moon;
use Test::More;

my $strace = (grep { -x } map { "$_/strace" } split /:/, $ENV{PATH})[0] or plan skip_all => 'no strace here (Debian\'s package strace)';
my $probe = run('strace', '-f', '-qq', '-o', '/dev/null', '-e', 'inject=getppid:signal=KILL', 'true');
plan skip_all => 'strace may not trace here' if $probe->{status} != 0;

my $every = $ENV{CRASH_EVERY} // 25;
my @calls = qw(write pwrite64 fsync fdatasync rename renameat2 unlink ftruncate sendto sendmsg recvfrom);
my $sim   = start_sim('--rate-limit', '0');
my %env   = (%{ $sim->{env} }, UV_THREADPOOL_SIZE => 1, EXTERNAL_AI_TOKEN => 'of-the-endpoint');
my $examples = "$root/scripts/examples";
my $state = $ENV{CRASH_STATE} ? qq{state = "$ENV{CRASH_STATE}", } : '';
my $keyed = 'gateway = { kinds = { model = { keyed = true } } }, ';    # the simulator honours it: a create that was cut off is sent again
write_file('moongate.lua', qq{return { ${state}${keyed}webhooks = { team = { url = "$sim->{url}/__sim/webhooks/team" } } }\n});

my $model = json(read_file("$examples/model.json"));
$model->{endpoint_url} = "$sim->{url}";
write_file('model.json', JSON::PP->new->encode($model));
write_file('prompts.jsonl', join '', map { qq({"prompt":"prompt $_"}\n) } 1 .. 12);

# A plan of three kinds, made from the state that each round begins with.
mkdir $_ for qw(indexes templates configurations);
write_file("indexes/$_.json", read_file(index_file($_))) for qw(orders items);
write_file('templates/t.json', read_file("$examples/template.json"));
write_file('configurations/c.json', read_file("$examples/model_configuration.json"));
my $planned = moon({ env => \%env }, 'plan', '--out', 'plan.json');
BAIL_OUT("no plan: $planned->{err}") if $planned->{status};

my @cases = (
    [ 'deploy-index', index_file('orders'), index_file('items') ],
    [ 'promote-template', "$examples/template.json" ],
    [ 'configure-model', "$examples/model_configuration.json" ],
    [ 'register-model', 'model.json' ],
    [ 'apply', 'plan.json' ],
    [ 'route-prompts', '--model', 'sim-small', 'prompts.jsonl' ],
);

# A disk that fails does so for the files of the state folder alone: a write to a socket or an eventfd is no write to a disk.
my %disk = (write => 'ENOSPC', pwrite64 => 'ENOSPC', fsync => 'EIO', fdatasync => 'EIO', ftruncate => 'EIO');
my @state_files = map { ('-P', "$dir/.moongate/$_") } qw(audit.jsonl state.db state.db-wal state.db-journal state.db-shm);

# Times, random ids and what counts the writes apart.
sub steady {
    my ($v) = @_;
    return [ map { steady($_) } @$v ] if ref $v eq 'ARRAY';
    return $v if ref $v ne 'HASH';
    my %out = map { $_ => steady($v->{$_}) } grep { !/^(createdAt|updatedAt|syncEventId|registeredAt|id|ingestion)$/ } keys %$v;
    return [ sort map { JSON::PP->new->canonical->encode($_) } values %out ] if grep { /^[0-9a-f]{8}-/ } keys %out;
    return \%out;
}
sub held { my $s = sim_get($sim, 'state'); return steady({ map { $_ => $s->{$_} } qw(indexes templates models model_configurations) }) }

# The messages that came, each id once: "type body without times and ids".
sub told {
    my $box = sim_get($sim, 'state')->{receiver}{team} or return [];
    my (%seen, @list);
    for my $d (@{ $box->{deliveries} }) { push @list, $d->{type} if !$seen{ $d->{id} }++ && $d->{type} ne 'plan_failed' }
    return [ sort @list ];
}

# What the gateway was asked for more than once, though nothing says that it is the same request.
sub sent_twice {
    my ($name) = @_;
    my %seen;
    return map { "$_->{method} $_->{path}" } grep {
        $_->{method} eq 'POST' && !$_->{id} && $_->{path} =~ m{^/api/} && $_->{path} !~ m{/health-checks$}
            && !($name eq 'promote-template')    # a version is created once: a second POST of it is refused
            && ($_->{status} // 0) < 300 && $seen{"$_->{path} " . ($_->{body} // '')}++
    } @{ sim_get($sim, 'stats')->{last} };
}

sub fresh { sim_post($sim, 'reset'); remove_tree('.moongate') if !$ENV{CRASH_STATE} }

my $runs = 0;

# How often the busiest thread makes each call: {call => n}
sub count_calls {
    my ($trace) = @_;
    my %n;
    for (slurp_lines($trace)) { $n{$2}{$1}++ if /^(\d+)\s+(\w+)\(/ }
    return { map { my $of = $n{$_}; $_ => (sort { $b <=> $a } values %$of)[0] } keys %n };
}

sub disk_calls {
    fresh();
    begin('disk-' . ++$runs, [ '-e', 'trace=' . join(',', sort keys %disk), @state_files ], @_);
    return count_calls('trace');
}

sub begin { my ($id, $trace, @words) = @_; run({ env => \%env }, 'strace', '-f', '-qq', '-o', 'trace', @$trace, $moongate, '--json', '--run-id', $id, @words) }

# One point. how: signal=KILL, or error=NAME. -> what is wrong with what came of it, or nothing.
sub crash {
    my ($how, $call, $nth, $whole, @words) = @_;
    my $id = 'crash-' . ++$runs;
    my @wrong;
    fresh();
    my $r = begin($id, [ '-e', "trace=$call", '-e', "inject=$call:$how:when=$nth", $how =~ /error/ ? @state_files : () ], @words);
    if ($how =~ /error/) {
        return "it ended with $r->{status}, signal $r->{signal}: $r->{err}" if $r->{status} == 70 || $r->{status} > 128 || $r->{signal};
        return 'it failed without a word' if $r->{status} != 0 && $r->{err} !~ /error:/;
    } elsif ($r->{status} != 137 && $r->{signal} != 9 && $r->{status} != 0) {
        return "it ended with $r->{status}: $r->{err}";
    }
    my $again = moon({ env => \%env }, '--json', '--run-id', $id, @words);
    if ($again->{status} == 6 && $again->{err} =~ /--redo/) {    # nobody can know: an operator looks, and says so
        my ($redo) = $again->{err} =~ /--redo '([^']+)'/ or return "no word of how to go on: $again->{err}";
        return "sent, but not found: $again->{err}" if grep { "$_->{method} $_->{path}" eq $redo } @{ sim_get($sim, 'stats')->{last} };
        $again = moon({ env => \%env }, '--json', 'runs', 'resume', $id, '--redo', $redo);
    }
    push @wrong, "taken up again, it ended with $again->{status}: $again->{err}" if $again->{status} != 0;
    my $flushed = moon({ env => \%env }, 'outbox', 'flush');
    push @wrong, 'the gateway holds something else' if !eq_hash({ s => held() }, { s => $whole->{state} });
    push @wrong, "webhooks told: @{ told() }, not @{ $whole->{told} }; the flush: $flushed->{out}$flushed->{err}" if "@{ told() }" ne "@{ $whole->{told} }";
    my @twice = sent_twice($words[0]);
    push @wrong, "sent twice: @twice" if @twice;
    my $verify = moon('audit', 'verify');
    push @wrong, "audit: $verify->{out}$verify->{err}" if $verify->{status} != 0 || $verify->{out} =~ /without an outcome/;
    if ($words[0] eq 'route-prompts') {
        my %ids;    # of each body; a request without one was cut off half-way
        $ids{ $_->{body} }{ $_->{id} } = 1 for grep { $_->{path} =~ m{/prompts$} && $_->{body} } @{ sim_get($sim, 'stats')->{last} };
        push @wrong, 'a prompt went out under two ids' if grep { keys %$_ > 1 } values %ids;
        push @wrong, 'prompts sent: ' . keys(%ids) . ', not 12' if keys %ids != 12;
    }
    return @wrong;
}

for my $case (@cases) {
    my ($name, @args) = @$case;
    next if $ENV{CRASH_ONLY} && $name !~ /$ENV{CRASH_ONLY}/;
    fresh();
    my $r = begin('whole-' . ++$runs, [ '-e', 'trace=' . join ',', @calls ], @$case);
    is($r->{status}, 0, "$name: uninterrupted") or diag($r->{err});
    my $whole = { state => held(), told => told() };
    diag("$name told: @{ $whole->{told} }") if $ENV{CRASH_VERBOSE};
    my $calls = count_calls('trace');
    my $files = disk_calls(@$case);
    for my $kind ([ 'killed', map { [ 'signal=KILL', $_, $calls->{$_} ] } sort keys %$calls ],
        [ 'a disk that fails', map { [ "error=$disk{$_}", $_, $files->{$_} ] } sort keys %$files ]) {
        my ($what, @calls_of) = @$kind;
        my @points = map { my $c = $_; map { [ @$c[ 0, 1 ], $_ ] } 1 .. $c->[2] } @calls_of;
        my $all = @points;
        my $step = $every < $all ? $every : $all;    # of few points, one at least
        @points = @points[ grep { $_ % $step == $runs % $step } 0 .. $#points ];
        my %bad;
        for my $p (@points) {
            my @wrong = crash(@$p, $whole, @$case);
            $bad{"@$p"} = \@wrong if @wrong;
        }
        cmp_ok(scalar @points, '>', 0, "$name, $what: " . @points . " of $all points");
        is(scalar keys %bad, 0, "$name, $what: after each of them it goes on as if nothing had been");
        diag("$name, $_: " . join '; ', @{ $bad{$_} }) for sort keys %bad;
    }
}
done_testing;
