#!/usr/bin/env perl
# Words that look like flags and are none; hints and statuses that send the user to the right place.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../e2e/lib";
use Moon;
use Test::More;

my $r = moon('-e', "-- a comment first\nreturn 7");
is($r->{out}, "7\n", 'a chunk may begin with a comment') or diag($r->{err});
$r = moon('help', '-e');
is($r->{status}, 0, 'help -e');
like($r->{out}, qr/^Usage: moongate -e CHUNK/, 'explains it');

my $file = index_file("$dir/index.json");
$r = moon('--sim', '--state', '/proc/none', 'deploy-index', $file);
is($r->{status}, 1, 'a state folder that can not be made is no fault of the input');
like($r->{err}, qr/no folder for the state/);

$r = moon({ env => { GENESYSCLOUD_REGION => 'http://127.0.0.1:1', GENESYSCLOUD_OAUTHCLIENT_ID => 'some-client',
            GENESYSCLOUD_OAUTHCLIENT_SECRET => 'some-secret' } }, 'doctor');
is($r->{status}, 6, 'a gateway that is not there: 6');
like($r->{out}, qr/FAIL  token .*\n +hint: see to the login host first/, 'the secret is not to blame');

$r = moon({ env => { MOONGATE_DRY_RUN => 'maybe' } }, '--sim', 'deploy-index', $file);
is($r->{status}, 2, 'a variable that says neither yes nor no');
like($r->{err}, qr/MOONGATE_DRY_RUN needs 1, true or yes, or 0, false, no or nothing/, 'is named, with what it takes');

write_file("$dir/bad.lua", <<'LUA');
return require "moongate.workflow".define { name = "bad", summary = "x", run = function() return { exit_status = -5 } end }
LUA
$r = moon('--sim', 'run', "$dir/bad.lua");
is($r->{status}, 1, 'an exit status that is none: the workflow fails');
like($r->{err}, qr/^moongate: error: workflow bad: the result's exit_status must be a whole number from 0 to 255, not -5$/m,
    'and says why');

done_testing();
