#!/usr/bin/env perl
# Words that our texts avoid, in strings of src, lua and scripts, in the docs, and in comments of the folders named
# below: each with what to write instead. tests/lint/words.ok has the exceptions, a line each: FILE: TEXT, where the
# line of FILE contains TEXT. `words.pl FILE...` checks these files whole, to see what a new page or folder needs.
use strict;
use warnings;

my @words = (
    [ qr/\bmend(s|ed|ing)?\b/i, 'fix, correct' ],
    [ qr/\b(is|are|was) told\b|\btold of\b|\bcan't be told\b/i, 'report, log, notify' ],
    [ qr/\b(tak(e|es|en|ing)|took) (it |them |this one )?up\b/i, 'resume' ],
    [ qr/\b(go(es)?|went|gone|going) on\b(?! to)/i, 'continue, resume' ],
    [ qr/\bbegun\b/i, 'started' ],
    [ qr/\bg(i|a)ve(n|s)? up (a |the |it|them|messages|writes)/i, 'discard' ],
    [ qr/(?<!there )\b(is|are|was|were) no (?!longer|more\b)[a-z]/i, 'is not a, not found' ],
    [ qr/\bthere (is|are|was) none\b|\b(is|are) none\b/i, 'not found' ],
    [ qr/\bwho(se|m)?ever\b/i, 'name it' ],
    [ qr/\bmeanwhile\b/i, 'name the time or the process' ],
    [ qr/\bhearsay\b/i, 'reports of other processes' ],
    [ qr/\bso many\b/i, 'maximum number of' ],
    [ qr/\bsomebody else\b/i, 'another client' ],
    [ qr/\b(is|are) there already\b/i, 'already exists' ],
    [ qr/\b(indexes|templates|models|configurations|prompts|files|calls|writes) at once\b/i, 'in parallel, immediately' ],
    [ qr/\banew\b/i, 'again' ],
    [ qr/\bof no use\b/i, 'name the error' ],
    [ qr/\bnobody knows\b/i, 'outcome unknown' ],
    [ qr/\b(a|per) try\b|\btrys\b/i, 'attempt' ],
    [ qr/\bfaults? (in|of) (the|an|a) (file|input|command)/i, 'error' ],
    [ qr/\d+ faults?\b|%d faults?\b/i, 'errors' ],
);
my @docs = ('README.md', glob 'docs/*.md');
my @commented = qw(lua/meta scripts src/base src/bind src/cli src/core src/host src/repl src/store src/tools); # folders whose comments are checked

my %ok;
if (open my $fh, '<', 'tests/lint/words.ok') {
    while (<$fh>) { push @{ $ok{$1} }, $2 if /^([^#:\s]+): (.+)$/ }
}

my $found = 0;
sub check {
    my ($file, $line, $n, $text) = @_;
    for my $word (@words) {
        next if $text !~ $word->[0];
        my $what = $&;
        next if grep { index($line, $_) >= 0 } @{ $ok{$file} || [] };
        print "$file:$n: '$what': write: $word->[1]\n";
        $found++;
    }
}

# The texts of a line of code: its string literals, and its comment where that is asked for.
sub texts {
    my ($line, $comments) = @_;
    my @texts;
    my $bare = $line;
    push @texts, $2 while $bare =~ s/(["'])((?:[^"'\\]|\\.|(?!\1)["'])*)\1/ /;
    push @texts, $1 if $comments && ($bare =~ m{(?:--+|//|/\*)\s?(.*)$} || $line =~ m{^\s*(\*.*)$});
    return @texts;
}

my @code = grep { m{\.(c|h|lua)$} } split /\n/, `git ls-files src lua scripts`;
for my $file (@ARGV ? @ARGV : @docs, @ARGV ? () : @code) {
    open my $fh, '<', $file or die "$file: $!\n";
    my $doc = $file =~ /\.md$/;
    my $comments = @ARGV || grep { index($file, $_) == 0 } @commented;
    while (my $line = <$fh>) {
        chomp $line;
        check($file, $line, $., $_) for $doc ? $line : texts($line, $comments);
    }
}
exit($found ? 1 : 0);
