#!/usr/bin/env perl
# The metrics files of several jobs can lie in one folder: node_exporter, which drops a series that is in two files, takes all.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../e2e/lib";
use HTTP::Tiny;
use IO::Socket::INET;
use Moon;
use Test::More;

mkdir 'textfile';
for my $job (qw(north south)) {    # the same workflow, twice
    is(moon('-q', '--sim', '--metrics-file', "textfile/$job.prom", 'deploy-index', index_file("of-$job"))->{status}, 0, "deploy-index for $job");
}
is(moon('-q', '--sim', '--metrics-file', 'textfile/prompts.prom', 'route-prompts', '--model', 'sim-small', '-p', 'hi')->{status}, 0, 'route-prompts');
my %seen;
for my $file (glob 'textfile/*.prom') {
    $seen{ s/ \S+$//r }++ for grep { !/^#/ } slurp_lines($file);
}
is_deeply([ grep { $seen{$_} > 1 } sort keys %seen ], [], 'no series is in two files');
like(read_file('textfile/north.prom'), qr/^moongate_run_exit_status\{job="north",workflow="deploy-index"\} 0$/m, 'the file says whose it is');
like(moon('-q', '--sim', '--metrics-file', '/dev/stdout', 'deploy-index', index_file('x'))->{out}, qr/^moongate_build_info\{job="deploy-index",/m, 'or the workflow');

SKIP: {
    skip 'no prometheus-node-exporter here', 2 if !`sh -c 'command -v prometheus-node-exporter'`;
    my $free = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1')->sockport;
    my $exporter = start(qr/(listening|Listening|address)/i, 'prometheus-node-exporter', "--web.listen-address=127.0.0.1:$free", '--collector.disable-defaults',
        '--collector.textfile', '--collector.textfile.directory=textfile');
    my ($answer, $end) = ({}, time + 10);
    while (time < $end && !$answer->{success}) {
        $answer = HTTP::Tiny->new(timeout => 5)->get("http://127.0.0.1:$free/metrics");
        select undef, undef, undef, 0.05 if !$answer->{success};
    }
    my @builds = $answer->{content} =~ /^moongate_build_info\{job="(\w+)"/mg;
    is_deeply([ sort @builds ], [qw(north prompts south)], 'node_exporter gives the series of all');
    unlike(read_file($exporter->{log}), qr/error gathering|collected before|inconsistent/, 'and complains of nothing');
}
done_testing;
