#!/usr/bin/env perl
# The sessions that the docs show, run again. In a ```console block, "$ command" is run in a folder that has scripts/ in it; the lines below it are
# what has to come out, stdout and stderr together, but for ids, times, hashes, ports, paths of state and durations. "..." stands for whatever
# follows, in a line or as lines. A command that is to fail is followed by a line "$ echo $?". A ```lua block that begins as a file does is checked; one
# that is a file of tests is run.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Moon;
use Test::More;

symlink "$root/scripts", 'scripts';
my ($bin) = $moongate =~ m{^(.*)/};
mkdir 'build';
symlink $moongate, 'build/moongate';    # as in a clone after make

sub plain {
    my ($s) = @_;
    $s =~ s/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/<uuid>/g;
    $s =~ s/\b[0-9a-f]{32,64}\b/<hash>/g;
    $s =~ s/\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?/<time>/g;
    $s =~ s/127\.0\.0\.1:\d+/127.0.0.1:<port>/g;
    $s =~ s/(?<![\w.-])\d+(\.\d+)? ?(ms|s|seconds)\b/<duration>/g;
    $s =~ s/("?\w*latency_?ms"?\s*[:=]\s*)[\d.]+/$1<n>/ig;
    $s =~ s{\S*/(audit\.jsonl|\.moongate)\b}{<path>}g;
    $s =~ s{^\d+/\d+ [^\n]*\n}{}mg;    # progress, which a slow machine sees
    $s =~ s/[ \t]+$//mg;
    return $s;
}

for my $doc ("$root/README.md", glob "$root/docs/*.md") {
    next unless -e $doc;
    my $text = read_file($doc);
    (my $name = $doc) =~ s{^\Q$root/}{};
    my $n = 0;
    while ($text =~ /^```lua\n(.*?)^```/msg) {
        my $lua = $1;
        if ($lua =~ m{\A-- (tests/\w+_test\.lua)\n}) {    # a file of tests: it runs
            my $file = $1;
            mkdir 'tests';
            my $r = moon('test', '--crash-everywhere', write_file($file, $lua));
            is($r->{status}, 0, "$name: $file passes") or diag("$r->{out}$r->{err}");
            unlink $file;
        } elsif ($lua =~ /\A(?:-- moongate\.lua\n|local \w+ = require)/) {
            my $is_project = $lua =~ /\A-- moongate/;
            my $r = moon('check', $is_project ? '--project-file' : (), write_file('example-' . ++$n . '.lua', $lua));
            my @faults = grep { $is_project || $lua =~ /^return /m || !/unknown global/ } $r->{out} =~ /^(\S+:\d+:\d+: .*)/mg;    # a part has names from its whole
            push @faults, $r->{err} if $r->{status} != 0 && $r->{status} != 3;
            is_deeply(\@faults, [], "$name: example $n has no fault");
        }
    }
    while ($text =~ /^```console\n(.*?)^```/msg) {
        my @steps;
        for (split /\n/, $1) {
            if (/^\$ (.*)/) { push @steps, { command => $1, want => '' } } elsif (@steps) { $steps[-1]{want} .= "$_\n" }
        }
        my $status = 0;
        for my $step (@steps) {
            next if $step->{command} =~ /^(make|git|sudo|less|man)\b/;
            if ($step->{command} eq 'echo $?') {
                is($status, $step->{want} =~ /(\d+)/ ? $1 : -1, "$name: exit status of the command before");
                next;
            }
            my $r = run({ env => { PATH => "$bin:$ENV{PATH}" } }, 'sh', '-c', "($step->{command}) 2>&1");
            $status = $r->{status};
            my $want = join '.*', map { quotemeta } split /(?:^\.\.\.\n)|(?: \.\.\.)|\xe2\x80\xa6/m, plain($step->{want}), -1;
            like(plain($r->{out}), qr/\A$want\z/s, "$name: \$ $step->{command}") if length $step->{want};
            my ($after) = grep { $steps[$_] == $step } 0 .. $#steps;
            my $checked = $after < $#steps && $steps[ $after + 1 ]{command} eq 'echo $?';
            is($status, 0, "$name: \$ $step->{command} succeeds") unless $checked;
        }
    }
}
done_testing;
