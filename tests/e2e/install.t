#!/usr/bin/env perl
# make install puts a program, its man page and the editor types below DESTDIR; what is installed needs nothing of the source tree.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Moon;
use Test::More;

my $dest = "$dir/dest";
# With the settings of the make that runs this, if one does, so that nothing is built anew; but not with its job server.
(my $flags = $ENV{MAKEFLAGS} // '') =~ s/(^| )-?-?j(observer)?\S*//g;
my $r = run({ seconds => 300, env => { MAKEFLAGS => $flags } }, 'make', '-s', '-C', $root, 'install', "DESTDIR=$dest", 'PREFIX=/usr');
is($r->{status}, 0, 'make install') or diag($r->{err});
ok(-x "$dest/usr/bin/moongate", 'the program');
ok(-s "$dest/usr/share/moongate/meta/$_.lua", "the editor types: $_") for qw(http json task);
like(read_file("$dest/usr/share/man/man1/moongate.1"), qr/^\.TH MOONGATE 1/im, 'the man page');
chmod 0755, "$dest/usr/bin/moongate";
for my $args (['-e', ''], ['help'], ['version'], ['help', 'deploy-index']) {
    my $x = run({ dir => '/' }, "$dest/usr/bin/moongate", @$args);
    is($x->{status}, 0, "runs: moongate @$args") or diag($x->{err});
}
my $strings = read_file("$dest/usr/bin/moongate");
ok(index($strings, $root) < 0, 'no path of the build in it');
done_testing;
