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

done_testing();
