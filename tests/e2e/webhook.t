#!/usr/bin/env perl
# Standard Webhooks with libraries of other authors: they verify what we sign, we verify what they sign, all refuse the same.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use MIME::Base64 qw(encode_base64);
use Moon;
use Test::More;
need_peers();

my @bodies = ('{"a":1}', '""', "{\"text\":\"\x{c3}\x{a4}\x{e2}\x{82}\x{ac}\"}", '{"big":"' . ('x' x 100_000) . '"}');
my ($old, $new) = map { 'whsec_' . encode_base64(pack('C*', map { $_ * 7 % 256 } $_ .. 2 * $_), '') } 24, 32;
my $now = time;

# ours to theirs
write_file('sign.lua', <<'LUA');
local json, webhook, fs = require "moongate.json", require "moongate.webhook", require "moongate.fs"
local out = {}
for i, case in ipairs(assert(json.decode(assert(fs.read("cases.json"))))) do
  out[i] = webhook.sign { secret = case.secret, id = case.id, timestamp = case.timestamp, body = case.body }
end
print(assert(json.encode(json.array(out))))
LUA
my @cases = map { { secret => $old, id => "msg_$_", timestamp => $now, body => $bodies[$_] } } 0 .. $#bodies;
push @cases, { secret => [$new, $old], id => 'msg_rotated', timestamp => $now, body => '"both keys sign"' };
write_file('cases.json', JSON::PP->new->canonical->encode(\@cases));
my $signed = moon('run', 'sign.lua');
is($signed->{status}, 0, 'we sign') or diag($signed->{err});
my @headers = @{ json($signed->{out} || '[]') };
is(scalar @headers, scalar @cases, 'one set of headers a case');

my @ask;
for my $i (0 .. $#cases) {
    for my $secret (ref $cases[$i]{secret} ? @{ $cases[$i]{secret} } : $cases[$i]{secret}) {
        push @ask, ["$_ verifies ours: case $i", 1, { lib => $_, verify => { secret => $secret, headers => $headers[$i], body => $cases[$i]{body} } }]
            for qw(standardwebhooks svix);
    }
}
push @ask, ['theirs refuses another body', 0, { verify => { secret => $old, headers => $headers[0], body => '{"a":2}' } }];
push @ask, ['theirs refuses another key',  0, { verify => { secret => $new, headers => $headers[0], body => $bodies[0] } }];
my $js = JSON::PP->new->canonical;
my $theirs = run({ stdin => join '', map { $js->encode($_->[2]) . "\n" } @ask }, 'node', "$root/tests/e2e/peers/webhook.mjs");
my @said = map { json($_) } split /\n/, $theirs->{out};
is($said[$_]{ok} ? 1 : 0, $ask[$_][1], $ask[$_][0]) or diag($said[$_]{error} // $theirs->{err}) for 0 .. $#ask;

# theirs to ours
my @sign = map { { sign => { secret => $old, id => "in_$_", timestamp => $now, body => $bodies[$_] } } } 0 .. $#bodies;
$theirs = run({ stdin => join '', map { $js->encode($_) . "\n" } @sign }, 'node', "$root/tests/e2e/peers/webhook.mjs");
my @signatures = map { json($_)->{signature} } split /\n/, $theirs->{out};
my @check;
for my $i (0 .. $#bodies) {
    my %h = ('webhook-id' => "in_$i", 'webhook-timestamp' => "$now", 'webhook-signature' => $signatures[$i]);
    push @check, { name => "ours verifies theirs: case $i", want => JSON::PP::true(), secret => $old, headers => \%h, body => $bodies[$i] };
    push @check, { name => "ours, with a rotated key: case $i", want => JSON::PP::true(), secret => [$new, $old], headers => \%h, body => $bodies[$i] };
    push @check, { name => "ours refuses another body: case $i", want => JSON::PP::false(), secret => $old, headers => \%h, body => "$bodies[$i] " };
    push @check, { name => "ours refuses another id: case $i", want => JSON::PP::false(), secret => $old, headers => { %h, 'webhook-id' => 'x' }, body => $bodies[$i] };
}
write_file('check.lua', <<'LUA');
local json, webhook, fs = require "moongate.json", require "moongate.webhook", require "moongate.fs"
for _, case in ipairs(assert(json.decode(assert(fs.read("check.json"))))) do
  local ok = webhook.verify { secret = case.secret, headers = case.headers, body = case.body }
  print((not not ok) == case.want and "ok" or "not ok", case.name)
end
LUA
write_file('check.json', $js->encode(\@check));
my $ours = moon('run', 'check.lua');
my @lines = split /\n/, $ours->{out};
is(scalar @lines, scalar @check, 'we answer each') or diag($ours->{err});
for (@lines) { my ($verdict, $name) = split /\t/; is($verdict, 'ok', $name) }
done_testing;
