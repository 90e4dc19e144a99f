#!/usr/bin/env perl
# lua/meta says of every native function what it takes and gives. What is registered and what is described must be the same:
# module functions as the running program has them, methods as src/bind registers them.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Moon;
use Test::More;

my %native;    # modules that have a binding
for my $c (glob "$root/src/bind/l_*.c") {
    my ($m) = $c =~ m{/l_(\w+)\.c$};
    next if $m eq 'cjson';    # a package of others, guarded
    my $text = read_file($c);
    $native{$m} = 1 if $text =~ /\bluaopen_moongate_\Q$m\E\s*\(/;
}
ok(scalar keys %native, 'there are native modules');

my $list = moon('-e', join "\n", map { qq{for k, v in pairs(require "moongate.$_") do if type(v) == "function" then print("$_." .. k) end end} }
    grep { $_ ne 'host' } sort keys %native);
is($list->{status}, 0, 'the program lists its functions') or diag($list->{err});
my %described;
my %registered = map { $_ => 1 } split /\n/, $list->{out};

for my $m (sort keys %native) {
    next if $m eq 'host';    # private to the trusted modules
    my $file = "$root/lua/meta/$m.lua";
    if (!ok(-e $file, "lua/meta/$m.lua is there")) { next }
    my $text = read_file($file);
    like($text, qr/^---\@meta/m, "$m: is a ---\@meta file");
    my (%functions, %methods);
    while ($text =~ /^(?:local\s+)?function\s+(\w+)([.:])(\w+)\s*\(/mg) { ($2 eq '.' ? \%functions : \%methods)->{$3} = $1 }
    my @have = sort map { /^\Q$m\E\.(\w+)$/ ? $1 : () } keys %registered;
    is_deeply([sort keys %functions], \@have, "$m: every function is described, and no other");

    $described{$_} = 1 for keys %methods;
}

my %methods;
for my $c (grep { !m{/l_(cjson|host)\.c$} } glob "$root/src/bind/l_*.c") {
    my $text = read_file($c);
    while ($text =~ /luaL_Reg\s+(\w+)\[\]\s*=\s*\{(.*?)\};/sg) {
        my ($array, $body) = ($1, $2);
        next if $array eq 'funcs';    # seen at run time above
        $methods{$1} = 1 while $body =~ /\{\s*"([a-z]\w*)"/g;
    }
}
is_deeply([sort keys %described], [sort keys %methods], 'every method is described, and no other');
done_testing;
