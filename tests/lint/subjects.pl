#!/usr/bin/env perl
# Subjects of commits: imperative, 12 to 72 characters, without a full stop. Commits are checked from the one that
# brought this file on; a shallow clone shows only some of them, and a source archive none.
use strict;
use warnings;

my $own = 'tests/lint/subjects.pl';
if (system('git rev-parse --is-inside-work-tree >/dev/null 2>&1') != 0) {
    print "skipped: this is not a git work tree\n";
    exit 0;
}
chomp(my ($shallow) = `git rev-parse --is-shallow-repository`);
print "this clone is shallow: only the commits that it has are checked\n" if $shallow eq 'true';
my ($first) = `git log --diff-filter=A --format=%H -- $own`;
chomp($first //= '');
my @range = $first eq '' ? ('-1', 'HEAD') : $shallow eq 'true' ? ('HEAD') : ("$first..HEAD");

# Verbs that end like what is no imperative.
my %verb = map { $_ => 1 } qw(address bring compress discuss embed exceed express feed guess need pass press proceed process
  seed shed speed spring succeed suppress);

my $bad = 0;
open my $log, '-|', 'git', 'log', '--no-merges', '--format=%h %s', @range or die "git log: $!\n";
while (<$log>) {
    chomp;
    my ($hash, $subject) = split / /, $_, 2;
    my ($word) = $subject =~ /^(\S+)/;
    my $why =
        length $subject > 72 ? 'is longer than 72 characters'
      : length $subject < 12 ? 'is shorter than 12 characters'
      : $subject =~ /\.$/    ? 'ends with a full stop'
      : $subject !~ /^[A-Z]/ ? 'does not begin with a capital letter'
      : $word =~ /^(An?|The|This|It)$/ || (lc $word) =~ /(?:ed|ing|[^s]s)$/ && !$verb{ lc $word } ? "begins with \"$word\": use the imperative"
      :                                                                         next;
    print "$hash \"$subject\" $why\n";
    $bad = 1;
}
close $log;
exit $bad;
