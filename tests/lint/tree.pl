#!/usr/bin/env perl
# The tree as a whole: what lies at the top, nothing of one machine and no secret in any file, text in order, file sizes.
use strict;
use warnings;

my $bad = 0;
sub fault { print "$_[0]\n"; $bad = 1 }

my @files = grep { -f } split /\n/, `git ls-files --cached --others --exclude-standard`;
my %top = map { $_ => 1 } qw(Makefile src include lua scripts tests docs packaging README.md LICENSE);
# A file over 800 lines, and the reason that it is one unit all the same.
my %long = ('src/net/http_call.c' => "each of a call's waits can be ended by each of the others");
my %seen;
for (@files) {
    my ($first) = m{^([^/]+)};
    fault("$first: does not belong at the top level") if !$top{$first} && $first !~ /^\./ && !$seen{$first}++;
}

# Written in pieces, so that this file passes its own check.
my $machine = join '|', '/wor' . 'k/', '/far' . 'm/', '/tmp/bash_' . 'jobs', '/ho' . 'me/[a-z]', '/Us' . 'ers/', '/ro' . 'ot/';
my $secret = join '|', '-----BEGIN [A-Z ]*PRIVATE ' . 'KEY', 'AKI' . 'A[0-9A-Z]{16}', 'gh[pousr]' . '_[A-Za-z0-9]{30}',
    'xox[abprs]' . '-[0-9A-Za-z-]{10}', 'eyJ[A-Za-z0-9_-]{20,}' . '\.eyJ';
for my $file (@files) {
    next if $file =~ m{package-lock\.json$};
    open my $fh, '<:raw', $file or next;
    my @lines = <$fh>;
    my $text = join '', @lines;
    next if $text =~ /\0/;
    my $data = $file =~ m{^tests/.*(corpus|data|suite)|\.(json|yaml)$};
    my $n = 0;
    for (@lines) {
        $n++;
        fault("$file:$n: a path of one machine: $1") if m{(?<![\w.])($machine)};
        fault("$file:$n: looks like a secret") if /$secret/;
        fault("$file:$n: trailing white space") if !$data && /[ \t\r]+\n/;
        fault("$file:$n: $1: the same sources must give the same bytes") if $file =~ /\.[ch]$/ && /\b(__DA(?:TE)__|__TI(?:ME)__)\b/;
    }
    fault("$file: a script that is not executable") if $text =~ /\A#!/ && !-x $file && $file !~ /\.lua$/;
    fault("$file: no line end at its end") if !$data && length $text && $text !~ /\n\z/;
    next unless $file =~ /\.(c|h|lua)$/ && $file !~ m{^tests/};
    fault("$file: $n lines: more than one unit?") if $n > 800 && !$long{$file};
    print "note: $file: $n lines\n" if $n > 400 && $n <= 800;
}
exit $bad;
