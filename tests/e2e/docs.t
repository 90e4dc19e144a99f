#!/usr/bin/env perl
# The sessions that the docs show, run again. In a ```console block, "$ command" is run in a folder that has scripts/ in it; the lines below it are
# what has to come out, stdout and stderr together, but for ids, times, hashes, ports, paths of state and durations. "..." stands for whatever
# follows, in a line or as lines. A command that is to fail is followed by a line "$ echo $?".
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Moon;
use Test::More;

symlink "$root/scripts", 'scripts';
my ($bin) = $moongate =~ m{^(.*)/};

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
    while ($text =~ /^```lua\n(local workflow = .*?)^```/msg) {
        my $r = moon('check', write_file('example-' . ++$n . '.lua', $1));
        is($r->{status}, 0, "$name: example $n has no fault") or diag("$r->{out}$r->{err}");
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
