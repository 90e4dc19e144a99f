#!/usr/bin/env perl
# What an editor gets: `moongate types` writes lua/meta and a .luarc.json that names it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Moon;
use Test::More;

my $r = moon('types');
is($r->{status}, 0, 'types') or diag($r->{err});
is_deeply(json(read_file('.luarc.json'))->{'workspace.library'}, ['.moongate/types'], '.luarc.json names the folder');
is(read_file('.moongate/types/http.lua'), read_file("$root/lua/meta/http.lua"), 'the files are those of lua/meta');
ok(!-e '.moongate/types/host.lua', 'but not those that no script can require');
for my $file (glob '.moongate/types/*.lua') {
    like(read_file($file), qr/\A---\@meta (?:moongate\.)?\w+\n/, "$file says which module it is");
}
write_file('.luarc.json', "{}\n");
$r = moon('types', 'elsewhere', '--json');
is(json($r->{out})->{written}, JSON::PP::false(), 'a .luarc.json that is there');
is(read_file('.luarc.json'), "{}\n", 'is left as it is');
ok(-e 'elsewhere/gateway.lua', 'another folder');

$r = moon('help', '--reference', 'pages');
is($r->{status}, 0, 'the reference');
like(read_file('pages/http.md'), qr/^### `http\.request\(options\) -> response, err`$/m, 'a page a module');
like(moon('help', 'http.request')->{out}, qr/^http\.request\(options\) -> response, err$/m, 'help of a function');
like(moon('help', 'error')->{out}, qr/unknown_outcome/, 'error codes');
is(moon('help', 'http.requets')->{status}, 2, 'help of none');
done_testing;
