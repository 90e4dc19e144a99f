#!/usr/bin/env perl
# template.variant against two implementations of its own page, docs/ab-assignment.md: one here, in Perl, and one in JavaScript where
# there is Node.js; on the page's test vectors and on ten thousand subjects.
use strict;
use warnings;
use Digest::SHA qw(sha256);
use FindBin;
use lib "$FindBin::Bin/lib";
use Moon;
use Test::More;

sub bucket { my ($experiment, $subject) = @_; int(unpack('N', sha256("$experiment\0$subject")) * 10000 / 2**32) }

sub variant {
    my ($bucket, @segments) = @_;
    my $edge = 0;
    for (@segments) {
        $edge += $_->[1] * 10000;
        return $_->[0] if $bucket < sprintf '%.0f', $edge;
    }
    return 'control';
}

my @vectors = read_file("$root/docs/ab-assignment.md") =~ /^\| `([^`]+)` \| `([^`]+)` \| (\d+) \| (\S+) \|$/mg;
cmp_ok(@vectors / 4, '>=', 20, 'the page has test vectors');
my %seen;
while (my ($experiment, $subject, $bucket, $variant) = splice @vectors, 0, 4) {
    is(bucket($experiment, $subject), $bucket, "$experiment, $subject: bucket");
    is(variant($bucket, [ b => 0.2 ], [ c => 0.1 ]), $variant, "$experiment, $subject: variant");
    $seen{$variant}++;
}
is_deeply([ sort keys %seen ], [qw(b c control)], 'and all outcomes are among them');

my @subjects = map { join '', map { chr(1 + int rand 255) } 1 .. 1 + rand 40 } 1 .. 5000;
push @subjects, map { "user-$_" } 1 .. 5000;
write_file('subjects', join '', map { unpack('H*', $_) . "\n" } @subjects);
write_file('assign.lua', <<'LUA');
local fs, template = require "moongate.fs", require "moongate.template"
local split = { { "b", 0.01 }, { "c", "10%" }, { "b", 0.04 }, { "d", 0.3333 } }
local out = {}
for hex in assert(fs.read "subjects"):gmatch "%x+" do
  local subject = hex:gsub("%x%x", function(byte) return string.char(tonumber(byte, 16)) end)
  local variant, bucket = template.variant("exp\u{e9}rience", subject, split)
  out[#out + 1] = bucket .. " " .. (variant or "control")
end
return table.concat(out, "\n")
LUA
my $r = moon('run', 'assign.lua');
is($r->{status}, 0, 'moongate assigns') or diag($r->{err});
my $own = join '', map { "$_\n" } map { my $n = bucket("exp\xc3\xa9rience", $_); "$n " . variant($n, [ b => 0.01 ], [ c => 0.1 ], [ b => 0.04 ], [ d => 0.3333 ]) } @subjects;
ok($r->{out} eq $own, 'ten thousand subjects get what the page says');

SKIP: {
    skip 'no Node.js', 1 if run('node', '--version')->{status} != 0;
    write_file('assign.mjs', <<'JS');
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
const bucket = (experiment, subject) => Math.floor(
  createHash('sha256').update(experiment).update('\0').update(subject).digest().readUInt32BE(0) * 10000 / 2 ** 32);
const variant = (n) => n < 100 ? 'b' : n < 1100 ? 'c' : n < 1500 ? 'b' : n < 4833 ? 'd' : 'control';
for (const line of readFileSync('subjects', 'utf8').trim().split('\n')) {
  const n = bucket('expérience', Buffer.from(line, 'hex'));
  console.log(`${n} ${variant(n)}`);
}
JS
    is(run('node', 'assign.mjs')->{out}, $own, 'and so in JavaScript');
}
done_testing;
