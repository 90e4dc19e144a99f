#!/usr/bin/env perl
# Calls that src/ and include/ do not make, each with why. A comment `allow: NAME, because ...` on the line lets one through.
use strict;
use warnings;

my %groups = (
    'no bound: snprintf or moon_buf'                 => [qw(strcpy strcat sprintf vsprintf gets stpcpy strncpy strncat alloca)],
    'no error, no end of the number: strtol'         => [qw(atoi atol atoll atof)],
    'hidden state: the _r form, or moongate/rng.h'   => [qw(strtok localtime gmtime ctime asctime rand srand random)],
    'starts a process'                               => [qw(system popen execl execlp execv execvp fork vfork posix_spawn)],
    'blocks the loop: libcurl resolves'              => [qw(getaddrinfo gethostbyname)],
    'blocks the loop: a timer'                       => [qw(sleep usleep nanosleep)],
    'children inherit it, and it races with readers' => [qw(setenv putenv unsetenv)],
    'a race on its name: mkstemp'                    => [qw(mktemp tmpnam tempnam)],
    'only main ends the process'                     => [qw(exit _exit quick_exit abort)],
    'clocks are passed in: moongate/clock.h'         => [qw(time clock gettimeofday clock_gettime)],
    'text goes to moongate/log.h or to the CLI'      => [qw(printf puts perror putchar)],
);
my %why = map { my $w = $_; map { $_ => $w } @{ $groups{$w} } } keys %groups;
my %home = (    # the one file whose job it is
    'src/base/clock.c' => [qw(clock_gettime)],
    'src/base/rng.c'   => [qw(abort)],            # no randomness: nothing can go on
    'src/cli/main.c'   => [qw(exit _exit)],
);
my $names = join '|', sort keys %why;
my $bad = 0;
for my $file (grep { !m{^src/tools/} } glob('src/*/*.[ch] src/*/*/*.[ch]'), glob('include/moongate/*.h')) {
    open my $fh, '<', $file or die "$file: $!";
    my $text = do { local $/; <$fh> };
    my @raw = split /\n/, $text;
    # What stands in comments and strings is no call; line breaks stay, so that numbers do.
    $text =~ s{/\*.*?\*/|//[^\n]*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'}{ (my $m = $&) =~ s/[^\n]/ /g; $m }gse;
    my $n = 0;
    for my $line (split /\n/, $text) {
        $n++;
        while ($line =~ /(?<![\w.>])($names)\s*\(/g) {
            my $name = $1;
            next if $raw[$n - 1] =~ /allow: \Q$name\E\b/ || grep { $_ eq $name } @{ $home{$file} // [] };
            print "$file:$n: $name: $why{$name}\n";
            $bad = 1;
        }
    }
}
exit $bad;
