#!/usr/bin/env perl
# A folder's workflows and permissions count when its user has allowed it; a project file that others could have written is not used.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../e2e/lib";
use Cwd qw(abs_path);
use File::Path qw(make_path);
use Moon;
use Test::More;

delete $ENV{MOONGATE_TRUST};
my $secret = 'CANARY-of-the-environment-31';
my $reach  = q{local out = {}
local secret, fs, http, audit = require "moongate.secret", require "moongate.fs", require "moongate.http", require "moongate.audit"
out[1] = tostring((secret.env "MY_SECRET")) == "***"
out[2] = fs.read "/etc/passwd" ~= nil
local r, e = http.get("http://127.0.0.1:9/", { deadline = 0.1 })
out[3] = not (e and e.code == "denied")
};
my $n = 0;

sub folder {    # a folder with a project file and a workflow that says at its top what it can reach
    my ($project) = @_;
    my $d = "$dir/f" . ++$n;
    make_path("$d/workflows");
    write_file("$d/moongate.lua", $project // 'return { permissions = { read = { "/" }, env = { "MY_SECRET" }, net = { "127.0.0.1" } } }');
    write_file("$d/workflows/peek.lua", qq{$reach
local said = ("%s %s %s"):format(tostring(out[1]), tostring(out[2]), tostring(out[3]))
return require "moongate.workflow".define { name = "peek", summary = "top: " .. said, offline = function() return true end, run = function() $reach
  return { text = "run: " .. tostring(out[1]) .. " " .. tostring(out[2]) } end }});
    return $d;
}
sub in_folder { my ($d, @words) = @_; moon({ dir => $d, env => { MY_SECRET => $secret, XDG_STATE_HOME => "$dir/xdg" } }, @words) }

my $d = folder();
for my $words ([qw(list)], [qw(list --json)], [qw(list --names)], [qw(help)], [qw(completion bash)]) {
    my $r = in_folder($d, @$words);
    is($r->{status}, 0, "@$words in a folder that was never allowed") or diag($r->{err});
    unlike($r->{out}, qr/top:/, '  loads nothing');
}
like(in_folder($d, 'list')->{out}, qr/^peek +not allowed: .*moongate allow/ms, 'and says how to allow it');
for my $words ([qw(show peek)], [qw(help peek)], [qw(peek)], [qw(run peek)], [qw(peek --help)]) {
    my $r = in_folder($d, @$words);
    is($r->{status}, 7, "@$words is denied") or diag("$r->{out}$r->{err}");
    like($r->{err}, qr/moongate allow/, '  and says what to do');
}
my $r = in_folder($d, 'run', 'workflows/peek.lua');
is($r->{out}, "run: false false\n", 'a file that is named runs, without what the project file grants');
like($r->{err}, qr/permissions are not granted: it was never allowed/, '  which is told');
$r = in_folder($d, '-e', 'return tostring(require "moongate.secret".env "MY_SECRET")');
is($r->{out}, "nil\n", '-e, too');

$r = in_folder($d, 'allow');
is($r->{status}, 0, 'moongate allow') or diag($r->{err});
like($r->{out}, qr/is allowed: moongate\.lua, 1 workflow$/);
is((stat "$dir/xdg/moongate/allowed")[2] & 0777, 0600, 'kept in a file of the user\'s own');
for my $words ([qw(list)], [qw(show peek)], [qw(help peek)], [qw(--allow-all list)]) {
    $r = in_folder($d, @$words);
    like($r->{out}, qr/top: false false false/, "@$words reads the definition, and nothing is in reach meanwhile") or diag($r->{err});
}
is(in_folder($d, 'peek')->{out}, "run: true true\n", 'a run has what is granted');
make_path("$d/below");
is(in_folder("$d/below", 'run', '../workflows/peek.lua')->{out}, "run: true true\n", 'below the folder, too');

write_file("$d/moongate.lua", read_file("$d/moongate.lua") . "-- changed\n");
is(in_folder($d, 'peek')->{status}, 7, 'until the project file changes');
like(in_folder($d, 'run', 'workflows/peek.lua')->{err}, qr/it has changed since it was allowed/, '  which is told');
in_folder($d, 'allow');
is(in_folder($d, 'peek')->{out}, "run: true true\n", 'allowed again');
in_folder($dir, 'allow', $d, '--remove');
is(in_folder($d, 'peek')->{status}, 7, 'and taken back');
is(in_folder($d, "--trust=$d", 'peek')->{out}, "run: true true\n", '--trust allows it for once');
is(in_folder($d, "--trust=$dir", 'peek')->{out}, "run: true true\n", '  a folder above, too');
is(in_folder($d, "--trust=$d/below", 'peek')->{status}, 7, '  not one below');
is(in_folder($d, '--config', 'moongate.lua', 'run', 'workflows/peek.lua')->{out}, "run: true true\n", 'a file that is named with --config counts');
chmod 0666, "$dir/xdg/moongate/allowed";
in_folder($d, 'allow');
is(in_folder($d, 'peek')->{status}, 7, 'a list that others may write is not believed');
chmod 0600, "$dir/xdg/moongate/allowed";

subtest 'what moongate new makes is allowed' => sub {
    my $at = "$dir/made";
    make_path($at);
    is(in_folder($at, 'new', 'demo')->{status}, 0, 'new');
    like(in_folder("$at/demo", 'list')->{out}, qr/^demo +(?!not allowed)/m, 'list');
    my $t = in_folder("$at/demo", 'test');
    is($t->{status}, 0, 'test') or diag("$t->{out}$t->{err}");
};

subtest 'a folder without a project file' => sub {
    my $e = folder();
    unlink "$e/moongate.lua";
    is(in_folder($e, 'peek')->{status}, 7, 'is not allowed by itself');
    in_folder($e, 'allow');
    is(in_folder($e, 'peek')->{status}, 0, 'but by its user');
    write_file("$e/moongate.lua", 'return {}');
    is(in_folder($e, 'peek')->{status}, 7, 'until there is one');
};

subtest 'settings of a file of one\'s own count' => sub {
    my $e = folder('return { gateway = { region = "eu-west-2" } }');
    is(json(in_folder($e, '--json', '-e', 'return require "moongate.auth".info()')->{out})->{region}, 'eu-west-2', 'region');
};

subtest 'files that others could have written' => sub {
    my $region = sub { my $r = in_folder(@_, '--json', '-e', 'return require "moongate.auth".info()'); return $r->{status} ? 'refused' : json($r->{out})->{region} // 'none' };
    my $own = sub { folder('return { gateway = { region = "eu-west-2" } }') };
    my $e = $own->();
    chmod 0666, "$e/moongate.lua";
    isnt($region->($e), 'eu-west-2', 'a file that everybody may write');
    like(in_folder($e, 'doctor')->{out}, qr/every user may write .*moongate allow/, '  doctor says why') or diag(in_folder($e, 'doctor')->{out});
    like(in_folder($e, 'deploy-index', 'x.json')->{err}, qr/is not used: every user may write .*moongate allow/, '  so does a command');
    in_folder($dir, 'allow', $e);
    is($region->($e), 'eu-west-2', '  counts when its user has allowed it');
    $e = $own->();
    make_path("$e/deep/er");
    chmod 0777, $e;
    isnt($region->("$e/deep/er"), 'eu-west-2', 'a folder above that everybody may write');
    chmod 01777, $e;
    is($region->("$e/deep/er"), 'eu-west-2', '  but for its sticky bit');
    chmod 0755, $e;
    chmod 0777, "$e/workflows";
    in_folder($dir, 'allow', $e);
    $r = in_folder($e, 'peek');
    is($r->{status}, 7, 'a workflow in a folder that everybody may write');
    $e = $own->();
    rename "$e/moongate.lua", "$e/real.lua";
    make_path("$e/open");
    chmod 0777, "$e/open";
    rename "$e/real.lua", "$e/open/real.lua";
    symlink 'open/real.lua', "$e/moongate.lua";
    isnt($region->($e), 'eu-west-2', 'a link to where everybody may write');
    SKIP: {
        skip 'needs root', 4 if $>;
        my $nobody = getpwnam 'nobody';
        $e = $own->();
        chown $nobody, -1, "$e/moongate.lua";
        isnt($region->($e), 'eu-west-2', 'another user\'s file');
        is($region->($e, "--trust=$e"), 'eu-west-2', '  counts with --trust');
        $e = $own->();
        chown $nobody, -1, $e;
        isnt($region->($e), 'eu-west-2', 'in another user\'s folder');
        $e = $own->();
        chmod 0775, $e;
        chown -1, scalar(getgrnam 'users'), $e;
        isnt($region->($e), 'eu-west-2', 'in a folder of a group with others');
    }
};

done_testing;
