#!/usr/bin/env perl
# help knows what users ask for: methods as scripts call them, exit statuses, error codes, the project file, retries.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../e2e/lib";
use Moon;
use Test::More;

my %page = (
    'gw.get' => qr/^gateway\.handle:get\(kind/, 'gw:get' => qr/^gateway\.handle:get\(/, 'gateway:get' => qr/^gateway\.handle:get\(/,
    'run.step' => qr/^workflow\.run:step\(/, 'run:step' => qr/^workflow\.run:step\(/, 'run' => qr/^Usage: moongate run/,
    'gateway' => qr/require "moongate.gateway"/, 'http.client.get' => qr/^http\.client:get\(/,
    'exit' => qr/^  130  interrupted$/m, 'exit status' => qr/^  70   /m, 'errors' => qr/^  unknown_outcome .*\(exit 6\)/m,
    'breaker_open' => qr/exit 6/, 'project' => qr/^  webhooks\.NAME\.url /m, 'retry' => qr/--deadline/, 'environment' => qr/GENESYSCLOUD_REGION/,
);
for my $words (sort keys %page) {
    my $r = moon('help', split / /, $words);
    is($r->{status}, 0, "help $words") or diag($r->{err});
    like($r->{out}, $page{$words}, '  has it');
}
my $r = moon({ stdin => qq{help(gw.get)\nhelp(run.step)\nhelp "exit"\n} }, '--sim', 'repl');
like($r->{out}, qr/gateway\.handle:get\(.*workflow\.run:step\(.*Exit statuses/s, 'and so does the prompt');
$r = moon({ stdin => ":foo\n" }, '--sim', 'repl');
like($r->{err}, qr/unknown command ':foo'.*\n.*:help lists the commands/, ':foo names :help');
$r = moon({ stdin => qq{local a = 1\nprint(a)\n:save "s.lua"\n} =~ s/"//gr }, '--sim', 'repl');
my $lines = () = read_file('s.lua') =~ /\n/g;
like($r->{err}, qr/s\.lua: $lines lines; moongate run/, ':save counts the lines of the file');
$r = moon('-v');
is($r->{status}, 2, '-v alone: exit 2');
like($r->{err}, qr/no command is given/, 'with the reason');

write_file('w.lua', 'return require "moongate.workflow".define { name = "w", summary = "s", permissions = { net = { "a.example.com" } }, run = function() end }');
$r = moon('--sim', 'run', 'w.lua');
like($r->{err}, qr/w needs: network a\.example\.com; allow it with --allow-net=a\.example\.com/, 'what is missing is named');
$r = moon('--sim', '--allow-net=a.example.com', 'run', 'w.lua');
is($r->{err}, '', 'what is allowed is no news');
done_testing;
