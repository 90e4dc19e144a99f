#!/usr/bin/env perl
# Embedding: byte for byte, sorted by name, and a file that does not compile ends the build with its line.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Moon;
use Test::More;

my ($embed) = grep { -x } map { "$root/build/$_/embed" } $ENV{BUILD} // (), 'release', 'asan';
plan skip_all => 'no embed tool beside this moongate' unless $embed;

mkdir 'lua';
write_file('lua/b.lua', "return 1\r\n-- \xff\x00 \"quoted\"\n");
write_file('lua/a.lua', "#!/usr/bin/env moongate\nreturn 2\n");
write_file('lua/empty.json', '');
my $r = run($embed, 'out.c', 'lua/b.lua', 'lua/empty.json', 'lua/a.lua');
is($r->{status}, 0, 'embeds') or diag($r->{err});
my $c = read_file('out.c');
like($c, qr/\{"a\.lua", f0, 33\},\s*\{"b\.lua", f1, 25\},\s*\{"empty\.json", f2, 0\},\s*\{NULL/, 'sorted, named without lua/');
my ($data) = $c =~ /f1\[\] = \{(.*?)\}/s;
my @bytes = $data =~ /\d+/g;
is(pop @bytes, 0, 'a final NUL');
is(join('', map { chr } @bytes), read_file('lua/b.lua'), 'byte for byte');

unlink 'out.c';
write_file('lua/bad.lua', "#!/x\nlocal x = 1\nlocal y = = 2\n");
write_file('lua/worse.lua', "for\n");
$r = run($embed, 'out.c', 'lua/a.lua', 'lua/bad.lua', 'lua/worse.lua');
is($r->{status}, 1, 'a syntax error ends it');
like($r->{err}, qr{^lua/bad\.lua:3: }m, 'with file and line');
like($r->{err}, qr{^lua/worse\.lua:2: }m, 'all of them');
ok(!-e 'out.c', 'and nothing is written');
write_file('lua/code.lua', "\x1bLua");
$r = run($embed, 'out.c', 'lua/code.lua');
is($r->{status}, 1, 'bytecode is refused');
$r = run($embed, 'out.c', 'lua/none.lua');
is($r->{status}, 1, 'a missing file');
like($r->{err}, qr{lua/none\.lua}, 'is named');
done_testing;
