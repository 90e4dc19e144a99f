#!/usr/bin/env perl
# A folder a layer; a layer uses itself and those below it, and only its own third-party headers. docs/architecture.md has the picture:
#   cli -> repl -> bind -> host -> net, store -> core -> base
use strict;
use warnings;

my %uses = (    # layer => the layers it may use, besides itself
    base  => [],
    core  => [qw(base)],
    net   => [qw(base core)],
    store => [qw(base core)],
    host  => [qw(base core net store)],
    bind  => [qw(base core net store host)],
    repl  => [qw(base core net store host bind)],
    cli   => [qw(base core net store host bind repl)],
    tools => [],    # build-time programs, linked with nothing of ours
);
my %third = (    # header => the layers that may include it
    '^openssl/'                 => [qw(core net)],
    '^pcre2\.h$'                => [qw(core)],
    '^uuid/'                    => [qw(core)],
    '^uv\.h$'                   => [qw(net host)],
    '^curl/'                    => [qw(net)],
    '^microhttpd'               => [qw(net)],
    '^sqlite3'                  => [qw(store)],
    '^libpq'                    => [qw(store)],
    '^(lua|lauxlib|lualib)\.h$' => [qw(host bind repl cli tools)],
    '^(histedit|editline/)'     => [qw(repl)],
);

my $bad = 0;
sub fault { print "$_[0]\n"; $bad = 1 }

# A public header x.h belongs to the layer that has x.c, else to the one that has x_*.c, or is called x; else it says "Layer: X" in its head.
my %layer_of;
for my $h (glob 'include/moongate/*.h') {
    my ($name) = $h =~ m{([^/]+)\.h$};
    my @homes = map { m{^src/([^/]+)/} } glob "src/*/$name.c src/*/*/$name.c";
    my %also = map { m{^src/([^/]+)/} ? ($1 => 1) : () } glob "src/*/${name}_*.c src/*/*/${name}_*.c";
    my $layer = $homes[0] // (-d "src/$name" ? $name : keys %also == 1 ? (keys %also)[0] : undef);
    open my $fh, '<', $h or die "$h: $!";
    my $head = join '', map { scalar(<$fh>) // '' } 1 .. 12;
    $layer = $1 if $head =~ /\bLayer:\s*(\w+)/;
    fault("$h: no src/*/$name.c, and no \"Layer: X\" in its first lines") unless defined $layer;
    fault("$h: more than one src/*/$name.c") if @homes > 1;
    $layer_of{"moongate/$name.h"} = $layer // 'base';
}

sub check_file {
    my ($file, $layer) = @_;
    return fault("$file: unknown layer '$layer'") unless $uses{$layer};
    my %may = map { $_ => 1 } $layer, @{ $uses{$layer} };
    open my $fh, '<', $file or die "$file: $!";
    while (<$fh>) {
        next unless /^\s*#\s*include\s*([<"])([^>"]+)[>"]/;
        my ($quote, $inc) = ($1, $2);
        if (my $l = $layer_of{$inc}) {
            fault("$file:$.: $layer may not use $inc (layer $l)") unless $may{$l};
        } elsif ($inc =~ m{^moongate/}) {
            fault("$file:$.: no such header: $inc");
        } elsif ($quote eq '"') {
            my ($dir) = $file =~ m{^(.*)/};
            my $path = "$dir/$inc";
            1 while $path =~ s{[^/]+/\.\./}{};    # a layer's subfolders see each other's private headers
            fault("$file:$.: $inc is private to another layer") if $path !~ m{^src/$layer/} || !-e $path;
        } else {
            for my $re (sort keys %third) {
                next unless $inc =~ /$re/;
                fault("$file:$.: $layer may not include <$inc>") unless grep { $_ eq $layer } @{ $third{$re} };
            }
        }
    }
}
check_file($_, m{^src/([^/]+)/}) for glob('src/*/*.[ch] src/*/*/*.[ch]');
check_file("include/$_", $layer_of{$_}) for sort keys %layer_of;

# Lua: a bundled workflow uses what a user's own script can use; nothing below the command line requires it; and what is
# true of the simulator is nothing to the program.
my %required;    # module => the modules that it requires, lazily or not
my %private = (    # module => the files that may require it and what is below it
    'moongate.host'    => qr{^lua/moongate/},
    'moongate.sandbox' => qr{^lua/moongate/},
    'moongate.cli'     => qr{^lua/moongate/cli(/|\.lua)},
    'moongate.sim'     => qr{^lua/moongate/((cli/)?(sim|test)(/|\.lua)|cli/simulated\.lua)},
);
for my $file (split /\n/, `find lua/moongate scripts -name '*.lua' | LC_ALL=C sort`) {
    open my $fh, '<', $file or die "$file: $!";
    while (<$fh>) {
        while (/require\s*\(?\s*["']([\w.]+)["']/g) {
            my $module = $1;
            ($file =~ m{^lua/(.*)\.lua$}) and $required{ $1 =~ tr{/}{.}r }{$module} = 1;
            for my $p (sort keys %private) {
                next if $module !~ /^\Q$p\E(\.|$)/ || $file =~ $private{$p};
                fault("$file:$.: may not require the private module $module");
            }
        }
    }
}

# Lua modules that require each other, on whatever way (Tarjan's strongly connected components).
my (%index, %low, %open, @stack);
my $next = 0;

sub visit {
    my ($module) = @_;
    $index{$module} = $low{$module} = $next++;
    $open{$module} = 1;
    push @stack, $module;
    for my $other (sort keys %{ $required{$module} || {} }) {
        visit($other) unless exists $index{$other};
        $low{$module} = $low{$other} if $open{$other} && $low{$other} < $low{$module};
    }
    return if $low{$module} != $index{$module};
    my @circle;
    do { push @circle, pop @stack; $open{ $circle[-1] } = 0 } until $circle[-1] eq $module;
    return if @circle == 1 || !grep { !/^moongate\.(outbox|webhooks|queue)\b/ } @circle;    # those of messages: to be undone
    fault("Lua modules that require each other: @circle");
}
exists $index{$_} or visit($_) for sort keys %required;

# A folder that can be looked over.
my %in;
$in{$_}++ for map { m{^(src/.+)/} } glob('src/*/*.[ch] src/*/*/*.[ch]');
my %crowded = map { $_ => 1 } qw(src/bind);    # remove it once the folder is below the limit
$in{$_} > 40 && !$crowded{$_} and fault("$_: $in{$_} files: more than 40") for sort keys %in;
exit $bad;
