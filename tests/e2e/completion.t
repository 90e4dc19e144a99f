#!/usr/bin/env perl
# What `moongate completion` writes, in the shells it is for.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Moon;
use Test::More;
use Time::HiRes qw(time);

my %script = map { $_ => moon('completion', $_)->{out} } qw(bash zsh fish);
write_file("completion.$_", $script{$_}) for keys %script;
mkdir 'workflows';
write_file('workflows/my_job.lua', "return 1\n");
write_file('an_index.json', '{}');

is(moon('completion', 'tcsh')->{status}, 2, 'a shell that is none');
like(moon('completion', 'bsh')->{err}, qr/did you mean 'bash'/, 'with what was meant');

# Every flag and command of the table is in every script.
my $help = moon('help')->{out};
my %flags = map { $_ => 1 } $help =~ /--([a-z][a-z-]+)/g;
for my $shell (sort keys %script) {
    my @missing = grep { index($script{$shell}, $shell eq 'fish' ? "-l $_" : "--$_") < 0 } grep { $help =~ /^  (?:-\w, )?--\Q$_\E\b/m } sort keys %flags;
    is("@missing", '', "$shell: every global flag");
}

sub has { my ($name) = @_; grep { -x "$_/$name" } split /:/, $ENV{PATH} }

# What a command line can become, by shell: words up to the cursor -> sorted list.
my %ask = (
    bash => sub {
        my @words = @_;
        my $line = join ' ', map { "'$_'" } @words;
        my $r = run('bash', '-c', "source ./completion.bash; COMP_WORDS=($line); COMP_CWORD=\$((\${#COMP_WORDS[@]} - 1)); _moongate 2>&1; printf '%s\\n' \"\${COMPREPLY[\@]}\"");
        return sort grep { length } split /\n/, $r->{out};
    },
    fish => sub {
        my @words = @_;
        my $r = run('fish', '--no-config', '-c', "source ./completion.fish; complete -C '" . join(' ', @words) =~ s/ = /=/r . "'");
        diag($r->{err}) if $r->{err};
        return sort map { s/\t.*//r } split /\n/, $r->{out};
    },
);

for my $shell (sort keys %ask) {
    SKIP: {
        skip "$shell is not installed", 1 unless has($shell);
        my $can = sub { my ($name, $want, @words) = @_; is(join(' ', $ask{$shell}->('moongate', @words)), $want, "$shell: $name") };
        my $among = sub { my ($name, $want, @words) = @_; my %got = map { $_ => 1 } $ask{$shell}->('moongate', @words); is(join(' ', grep { !$got{$_} } @$want), '', "$shell: $name") };
        $can->('a command', 'deploy-index', 'dep');
        $can->('a command behind a flag', 'deploy-index', '--sim', 'dep');
        $can->('a command behind a flag with a value', 'deploy-index', '--region', 'mypurecloud.com', 'dep');
        $among->('what there is', ['run', 'repl', 'my-job', 'route-prompts', 'audit'], '');
        $can->('a workflow of ./workflows', 'my-job', 'my-');
        $can->('a command of a command', 'show', 'audit', 'sh');
        $can->('a flag', '--on-conflict', 'deploy-index', '--on-');
        $can->('a global flag behind a command', '--json', 'deploy-index', '--js');
        $can->('a flag of a command of a command', '--since', 'audit', 'show', '--sin');
        $can->("a flag's value", 'overwrite', 'deploy-index', '--on-conflict', 'ov');
        $can->("a global flag's value", 'never', '--color', 'n');
        $can->('a file', 'an_index.json', 'deploy-index', '--dry-run', 'an_');
        $can->("a flag's file", 'an_index.json', '--config', 'an_');
        $can->('a shell', 'zsh', 'completion', 'z');
        $can->('a command for help', 'deploy-index', 'help', 'depl');
        $among->('a workflow to run', ['my-job'], 'run', 'my');
    }
}
if (has('bash')) {
    is(join(' ', $ask{bash}->('moongate', '--color', '=', 'al')), 'always', 'bash: a value behind "="');
    is(join(' ', $ask{bash}->('moongate', '--color', '=', 'always', 'aud')), 'audit', 'bash: and what comes after it');
    is(run('bash', '-n', 'completion.bash')->{status}, 0, 'bash: no fault');
}

SKIP: {
    skip 'zsh or tmux is not installed', 1 unless has('zsh') && has('tmux');
    is(run('zsh', '-n', 'completion.zsh')->{err}, '', 'zsh: no fault');
    my @tmux = ('tmux', '-S', "$dir/tmux", '-f', '/dev/null');
    my $see = sub {
        my ($want, $name) = @_;
        my ($end, $text) = (time + 20, '');
        while (time < $end) {
            ($text = run(@tmux, 'capture-pane', '-p')->{out}) =~ s/\s+\z//;
            last if $text =~ $want;
            select undef, undef, undef, 0.02;
        }
        like($text, $want, "zsh: $name");
    };
    my $type = sub { run(@tmux, 'send-keys', '-l', @_) };
    { local $ENV{TERM} = 'xterm'; run(@tmux, 'new-session', '-d', '-x', 120, '-y', 40, "zsh -f") }
    $type->("PS1='> '; autoload -U compinit; compinit -D; source ./completion.zsh; clear; echo ready\n");
    $see->(qr/^ready$/m, 'the script is taken');
    $type->("moongate --sim dep\t");
    $see->(qr/> moongate --sim deploy-index$/, 'a command');
    run(@tmux, 'send-keys', 'C-u');
    $type->("moongate deploy-index --on-c\t");
    $see->(qr/> moongate deploy-index --on-conflict=$/, 'a flag');
    $type->("ov\t");
    $see->(qr/--on-conflict=overwrite$/, "a flag's value");
    run(@tmux, 'send-keys', 'C-u');
    $type->("moongate audit sh\t");
    $see->(qr/> moongate audit show$/, 'a command of a command');
    run(@tmux, 'send-keys', 'C-u');
    $type->("moongate run my-\t");
    $see->(qr/> moongate run my-job$/, 'a workflow of ./workflows');
    run(@tmux, 'kill-server');
}
done_testing;
