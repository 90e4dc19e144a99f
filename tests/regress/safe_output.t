#!/usr/bin/env perl
# What others have named or answered steers no terminal: neither in results nor in errors, notes, logs or --json, which is valid UTF-8.
use strict;
use warnings;
use Encode ();
use FindBin;
use lib "$FindBin::Bin/../e2e/lib";
use Moon;
use Test::More;

my $evil = "\\27[2J\\27]0;owned\\7\\155\\194\\155\\127\\u{202e}\\r";

sub clean {
    my ($what, $text) = @_;
    ok(eval { Encode::decode('UTF-8', my $copy = $text, Encode::FB_CROAK); 1 }, "$what: valid UTF-8") or diag($text);
    unlike(Encode::decode('UTF-8', $text), qr/[\x00-\x08\x0b-\x1f\x7f-\x9f\x{202a}-\x{202e}\x{2066}-\x{2069}]/, "$what: no control")
      or diag($text);
}

my %chunks = (
    'a value'       => qq(return "$evil"),
    'a table'       => qq(return { ["$evil"] = "$evil" }),
    'an error'      => qq(error("$evil", 0)),
    'error object'  => qq(error(require("moongate.error").new { code = "http", message = "a\\nmoongate: error: forged $evil",)
      . qq( path = "$evil", details = { { field = "$evil", message = "$evil" } }, hint = "$evil" }, 0)),
    'a log line'    => qq(require("moongate.log").warn("%s", "$evil")),
);
for my $name (sort keys %chunks) {
    for my $mode ([], ['--json'], [ '--color', 'always' ]) {
        my $r = moon(@$mode, '-v', '-e', $chunks{$name});
        my $shown = "$name @$mode";
        if (@$mode == 2) { s/\e\[\d+m//g for $r->{out}, $r->{err} }    # our own colours
        clean("$shown, stdout", $r->{out});
        clean("$shown, stderr", $r->{err});
        ok(eval { json($r->{out}); 1 }, "$shown: one document") if @$mode == 1;
        unlike($r->{err}, qr/^moongate: error: forged/m, 'no line is forged');
    }
}

# A file whose name and content are no text, and a gateway that answers in kind.
my $sim = start_sim();
mkdir "$dir/conf";
my $bad = "caf\xe9\e[31m.json";
write_file("$dir/conf/$bad", '{"indexId":"ok","dimensions":64,"similarityMetric":"cosine","embeddingFormat":"float32"}');
for my $mode ([], ['--json'], ['--dry-run']) {
    my $r = moon({ env => $sim->{env} }, @$mode, 'deploy-index', "$dir/conf");
    is($r->{status}, 0, "a file with an odd name is deployed @$mode") or diag($r->{err});
    clean("deploy @$mode, stdout", $r->{out});
    clean("deploy @$mode, stderr", $r->{err});
}
my $r = moon({ env => $sim->{env} }, 'deploy-index', "$dir/conf/$bad", "$dir/conf/\e]0;gone\a");
is($r->{status}, 3, 'a file that is not there');
clean('not there, stderr', $r->{err});
$r = moon('runs', 'list');
clean('runs list', $r->{out});

done_testing();
