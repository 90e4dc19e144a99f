#!/usr/bin/env perl
# Random answers to each job: tests/property/answers.mjs. A few here; `make soak` gives 20,000 to each.
use strict;
use warnings;
use FindBin;

my ($node) = grep { -x } map { "$_/node" } split /:/, $ENV{PATH};
if (!$node) {
    print "1..0 # SKIP no Node.js here\n";
    exit 0;
}
my $count = $ENV{MOONGATE_SOAK} ? 20000 : 120;
my $seed = $ENV{MOONGATE_SEED} || 20;
my $moongate = $ENV{MOONGATE} || "$FindBin::Bin/../../build/release/moongate";
exec $node, "$FindBin::Bin/../property/answers.mjs", $moongate, '--seed', $seed, '--count', $count or die "node: $!";
