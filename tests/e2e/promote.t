#!/usr/bin/env perl
# promote-template from outside: before the simulator Prism finds nothing wrong in any request or answer; a gateway that misbehaves gets each
# version once; bad files are refused before anything is sent.
use strict;
use warnings;
use FindBin;
use HTTP::Tiny;
use lib "$FindBin::Bin/lib";
use Moon;
use Test::More;
use Encode qw(encode_utf8);
use utf8;

my $coder = JSON::PP->new->canonical->utf8;
sub template {
    my ($id, $version, %change) = @_;
    my %template = (
        templateId => $id, version => $version, content => "Grüße, {{name}}: {{n}} {{name}}\n漢字 }} { }", variables => { name => 'string', n => 3 }, %change,
    );
    return write_file("template-$version-@{[ $id =~ s/\W/_/gr ]}.json", $coder->encode(\%template));
}

# Run again and again until nothing is left to do: whatever a run says of a template, the gateway has each version once in the end.
subtest 'a gateway that misbehaves' => sub {
    my $sim = start_sim('--rate-limit', 0, map { ('--fault', $_) } 'status=503,rate=0.05', 'close_after,method=POST,path=/versions,rate=0.2',
        'half,method=POST,path=/versions,rate=0.1', 'close_before,rate=0.05');
    my %file = map { ("t$_" => template("t$_", '1.0.0')) } 1 .. 60;
    my (%done, %count);
    for my $round (1 .. 20) {
        my @left = grep { !$done{$_} } sort keys %file or last;
        my $r = moon({ env => $sim->{env} }, '--json', 'promote-template', '--concurrency', 16, @file{@left});
        my $held = sim_get($sim, 'state')->{templates};
        for my $entry (@{ json($r->{out})->{results} }) {
            my ($id, $status) = @$entry{qw(template_id status)};
            my $there = $held->{$id} ? scalar @{ $held->{$id}{versions} } : 0;
            $count{$status}++;
            my $conflict = $status eq 'failed' && $entry->{error}{code} eq 'conflict';
            my $unsure = $status eq 'failed' && ($entry->{error}{outcome} // '') eq 'unknown';
            $done{$id} = 1 if $status ne 'failed' || $conflict;
            next if $unsure ? $there <= 1 : $there == ($done{$id} ? 1 : 0);
            fail("round $round, $id: $status, and the gateway has $there") or diag(explain $entry);
        }
    }
    is(scalar keys %done, 60, 'all are there in the end');
    cmp_ok($count{reconciled} // 0, '>', 0, 'answers were lost on the way') or diag(explain \%count);
    my $held = sim_get($sim, 'state')->{templates};
    is_deeply([ grep { @{ $held->{$_}{versions} } != 1 } keys %$held ], [], 'each version once');
    is($held->{t7}{versions}[0]{content}, "Grüße, {{name}}: {{n}} {{name}}\n漢字 }} { }", 'with the content of the file');
    my $r = moon({ env => $sim->{env} }, 'audit', 'verify');
    is($r->{status}, 0, 'the audit log is whole') or diag("$r->{out}$r->{err}");
};

subtest 'bad files' => sub {
    my $sim = start_sim();
    my @files = grep { !/\.meta\.json$/ } glob "$root/tests/lua/fixtures/bad_template/*";
    for my $file (@files) {
        my $r = moon({ env => $sim->{env} }, '--json', 'promote-template', $file);
        is($r->{status}, 3, "$file: 3");
        my $doc = json($r->{out});
        ok(@{ $doc->{error}{details} } && !grep({ !$_->{message} } @{ $doc->{error}{details} }), 'every fault has its words');
    }
    cmp_ok(scalar @files, '>=', 20, 'at least twenty');
    is(sim_get($sim, 'stats')->{requests}, 0, 'nothing was sent');
    my $r = moon({ env => $sim->{env} }, 'promote-template', template('x', '1.0.0'), '--split', '0.2');
    is($r->{status}, 2, 'a share that is no percentage: 2');
    $r = moon('promote-template', template('x', '1.0.0'), '--render', write_file('vars.json', encode_utf8('{"name": "Ünal"}')));
    is($r->{out}, encode_utf8("Grüße, Ünal: 3 Ünal\n漢字 }} { }\n"), 'rendering needs no credentials');
};

subtest 'before the simulator: requests and answers' => sub {
    need_peers();
    my $sim   = start_sim();
    my $prism = start_peer('prism', $sim->{url});
    my %env   = (%{ $sim->{env} }, GENESYSCLOUD_REGION => $prism->{info}{url});
    my $try   = sub {
        my ($what, $status, $want, @args) = @_;
        my $r = moon({ env => \%env }, 'promote-template', @args);
        is($r->{status}, $status, "$what: exit status") or diag("$r->{out}$r->{err}");
        my ($requests, $violations) = prism_said($prism);
        is_deeply($violations, [], "$what: nothing is against the document");
        my @seen = map { my ($method, $path) = split; $method . ($path =~ m{/versions/} ? ' version' : ' ' . $path =~ s{^.*/}{}r) } grep { !/oauth/ } @$requests;
        is_deeply(\@seen, $want, "$what: the requests") or diag(join "\n", @$requests);
    };
    my @look = ('GET versions');    # which holds the versions whole
    my @id   = ('--id', 'greeting/a b');
    my $file = sub { template('greeting/a b', @_) };
    my @new  = ('GET versions', 'GET version', 'GET versions');    # the listing of a template that is not there is 404
    $try->('first', 0, [ @new, 'POST versions' ], $file->('1.0.0'));
    $try->('second', 0, [ @look, 'POST versions' ],
        $file->('1.1.0-rc.1+b', metadata => { owner => 'x' }, rollbackDirective => JSON::PP::false()));
    $try->('a split', 0, [ @look, 'POST versions' ], $file->('1.2.0'), '--split', '20%', '--variant', 'b.2_x-y');
    $try->('dry run', 0, \@look, '--dry-run', $file->('1.3.0'));
    $try->('it is there', 5, \@look, $file->('1.0.0'));
    $try->('rollback', 0, [ @look, 'POST versions' ], @id, '--rollback', '1.0.0');
    $try->('blocked', 5, \@look, $file->('1.3.0'));
    $try->('the end of the rollback', 0, ['DELETE rollback'], @id, '--end-rollback');
    $try->('there is none: an error body', 0, ['DELETE rollback'], @id, '--end-rollback');
    $try->('render', 0, [], $file->('1.0.0'), '--render', write_file('vars.json', '{"name":"x"}'));
    $try->('the examples', 0, [ (@new, 'POST versions') x 2 ], '--concurrency', 1,
        "$root/scripts/examples/template.json", "$root/scripts/examples/support_answer.txt");
};
done_testing;
