#!/usr/bin/env perl
# Two rules about what comments and docs say of files: a file that they name exists, and a head that says "For X only" is
# true.
use strict;
use warnings;

my $bad = 0;
sub report { print "$_[0]\n"; $bad = 1 }

my @files = grep { -f } split /\n/, `git ls-files --cached --others --exclude-standard`;
my (%known, %is_folder);
for my $file (@files) {
    my @parts = split m{/}, $file;
    $known{ join '/', @parts[$_ .. $#parts] } = 1 for 0 .. $#parts;
    $is_folder{$_} = 1 for @parts[0 .. $#parts - 1];
}

# Files of users and of other programs; examples.
my %theirs = map { $_ => 1 } qw(
    moongate.lua staging.lua lua.c pg_type.h OUT.c a.lua b.lua x_test.lua tests/x_test.lua test_x.lua include/moongate/x.h);

# ---- names of files ----

# In our own sources any name of a source file is one of ours; in docs one that begins with a folder of ours.
sub check_names {
    my ($file, $line, $text, $in_docs) = @_;
    while ($text =~ m#(?<![\w./*\$~<{-])((?:[\w-]+/)*[\w-]+\.(?:c|h|lua|pl|t))\b(?![\w*(/-]|\.\w)#g) {
        my ($name) = ($1);
        next if $known{$name} || $theirs{$name};
        my ($first) = $name =~ m{^([\w-]+)/};
        next if $in_docs && !($first && $is_folder{$first} && $first !~ /^(?:workflows|tests)$/);
        report("$file:$line: names $name, which is not a file of ours");
    }
}

# The text of the comments of a line.
sub comment_of {
    my ($file, $text) = @_;
    return $text =~ /--\s?(.*)/ ? $1 : '' if $file =~ /\.lua$/;
    return $text =~ m{(?:/\*|^\s?\*)(.*)} ? $1 : '';
}

for my $file (grep { m{^(src|include|lua/moongate|docs)/|^README\.md$} } @files) {
    next if $file =~ m{^docs/(reference/|CHANGELOG)} || $file !~ /\.(c|h|lua|md)$/ || $file =~ m{^lua/moongate/cli/new/};
    open my $fh, '<', $file or die "$file: $!";
    my $in_docs = $file =~ /\.md$/;
    my $fenced = 0;
    while (<$fh>) {
        $fenced = !$fenced if $in_docs && /^\s*```/;
        next if $fenced;
        check_names($file, $., $in_docs ? $_ : comment_of($file, $_), $in_docs);
    }
}

# ---- "For X only" ----

my %users;    # module => the files that require it
for my $file (grep { m{^(lua/moongate|scripts)/.*\.lua$} } @files) {
    open my $fh, '<', $file or die "$file: $!";
    while (<$fh>) { $users{$1}{$file} = 1 while /require\s*\(?\s*["'](moongate\.[\w.]+)["']/g }
}
for my $file (grep { m{^lua/moongate/.*\.lua$} } @files) {
    open my $fh, '<', $file or die "$file: $!";
    my $head = '';
    while (<$fh>) { last unless s/^--\s?//; chomp; $head .= "$_ " }
    my ($for) = $head =~ /\bFor ((?:[\w\/]+\.lua(?:, | and )?)+) only\b/ or next;
    (my $module = $file) =~ s{^lua/|\.lua$}{}g;
    $module =~ tr{/}{.};
    my @allowed = $for =~ m{[\w/]+\.lua}g;
    for my $user (sort keys %{ $users{$module} || {} }) {
        report("$file: says \"For $for only\", and $user requires it") unless grep { $user =~ m{(^|/)\Q$_\E$} } @allowed;
    }
}
exit $bad;
