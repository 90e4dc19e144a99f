#!/usr/bin/env perl
# No mutable globals: no object of ours has a writable data symbol, but for those named here with their reason.
use strict;
use warnings;

my %allowed = (    # unit/symbol => why
    'cli/main/signalled'   => 'a signal handler gets no argument',
    'cli/main/main_thread' => 'the same',
    'cli/main/seen'        => 'the same',
    'net/http_call/gzip'      => "a libcurl list's node has no const; never written",
    'net/http_call/no_expect' => 'the same',
    'net/http_call/no_type'   => 'the same',
    'net/curl_memory/lists'       => "libcurl's allocation callbacks have no argument for an owner",
    'net/curl_memory/slabs'       => 'the same',
    'net/curl_memory/slab_at'     => 'the same',
    'net/curl_memory/slab_left'   => 'the same',
    'net/curl_memory/is_owner'    => 'the same',
    'net/curl_memory/left_lock'   => 'the same',
    'net/curl_memory/left_behind' => 'the same',
    'net/curl_memory/failed'      => 'the same',
    'net/http_message/classes' => 'a table of characters, computed once and always the same',
    (map { ("net/curl_memory/$_" => "libcurl's allocation callbacks get no argument") }
         qw(lists slabs slab_at slab_left is_owner left_lock left_behind)),
);
my $dir = shift // 'build/release/obj';
my $bad = 0;
my @objects = grep { !m{/(tests|tools)/} } split /\n/, `find $dir -name '*.o' 2>/dev/null | LC_ALL=C sort`;
if (!@objects) { print "no objects in $dir: run make first\n"; exit 1 }
for my $o (@objects) {
    (my $unit = $o) =~ s{^\Q$dir\E/|\.o$}{}g;
    next unless -e "src/$unit.c";    # left over from an older tree, or generated
    for (split /\n/, `objdump -t $o`) {
        # VALUE FLAGS SECTION <tab> SIZE NAME. What lies in .data.rel.ro is constant once the program is loaded.
        my ($flags, $section, $name) = /^[0-9a-f]+ (.{7}) (\S+)\t[0-9a-f]+\s+(?:\.hidden )?(\S+)$/ or next;
        next unless $flags =~ /O/ && $section =~ /^(\.data|\.bss|\.tdata|\.tbss|\*COM\*)/ && $section !~ /^\.data\.rel\.ro/;
        $name =~ s/\.\d+$//;
        next if $allowed{"$unit/$name"};
        print "src/$unit.c: mutable global '$name' ($section)\n";
        $bad = 1;
    }
}
exit $bad;
