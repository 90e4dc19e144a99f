#!/usr/bin/env perl
# What a user got wrong is never called a bug: exit status 1 to 3, the user's line where there is one. nil and an error at
# the end of a script or a step is a failure.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../e2e/lib";
use Moon;
use Test::More;

sub says {
    my ($status, $pattern, $what, @command) = @_;
    my $r = moon(@command);
    is($r->{status}, $status, $what) or diag($r->{err});
    like($r->{err}, $pattern, '  and says why');
    unlike($r->{err}, qr/report it|moongate\/\w+\.lua/, '  without an invitation to report it');
}
my %chunk = (
    'return require "scoket"'                                       => qr/module 'scoket' not found/,
    'require("moongate.gateway").open()'                            => qr/\(command line\):1: bad argument #1 to 'gateway.open' \(table expected/,
    'return require("moongate.gateway").open(7)'                    => qr/bad argument #1 to 'gateway.open' \(table expected, got number/,
    'require("moongate.index").load(true)'                          => qr/\(command line\):1: bad argument #1/,
    'return require("moongate.template").load_all("x")'             => qr/bad argument #1/,
    'return require("moongate.metrics").new():counter("x")'         => qr/metric name "x"/,
    'local a return a.b.c'                                          => qr/attempt to index a nil value \(local 'a'\)/,
    'return require("moongate.http").get("http://127.0.0.1/", {x=1})' => qr/unknown option 'x'/,
    'return nil, "no luck"'                                         => qr/no luck/,
    'return pcall(error, require("moongate.error").new{code="script", message="inside"})' => qr/inside/,
    'return gw:gett()'                                              => qr/gateway has no 'gett' \(did you mean 'get'\?\)/,
);
says(1, $chunk{$_}, $_, '--sim', '-e', $_) for sort keys %chunk;
says(3, qr/no kind "indx" \(did you mean 'index'\?\)/, 'an unknown kind', '--sim', '-e', 'return gw:get("indx", {})');
says(3, qr/no-such-file/, 'nil, err of a native module', '-e', 'return require("moongate.fs").read("no-such-file")');
my $r = moon('--json', '-e', 'return require("moongate.fs").read("no-such-file")');
is(json($r->{out})->{error}{code}, 'not_found', 'as JSON, too');
is(moon('--sim', '-e', 'return gw:get("index", {vectorStoreId="v", indexId="i"})')->{status}, 0, 'gw is there in -e');
is(moon('-e', 'return nil')->{status}, 0, 'nil alone is nothing to say');

write_file('w.lua', <<'LUA');
local fs = require "moongate.fs"
return require "moongate.workflow".define { name = "w", summary = "s", args = { { "how", "how" } }, run = function(run, args)
  if args.how == "step" then run:step("read", function() return fs.read("gone") end) end
  if args.how == "read" then run:read("read", function() return fs.read("gone") end) end
  if args.how == "words" then return nil, "in words" end
  return fs.read("gone")
end }
LUA
says(3, qr/gone/, "a workflow that returns nil, err: $_", '--sim', 'run', 'w.lua', $_) for qw(step read end);
says(1, qr/in words/, 'a workflow that returns nil and words', '--sim', 'run', 'w.lua', 'words');
done_testing;
