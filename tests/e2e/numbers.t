#!/usr/bin/env perl
# Shortest round-trip numbers, against Node's: every power of two and of ten with its neighbours, the corners, and 100,000 at random.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Moon;
use Test::More;
plan skip_all => 'no Node.js' if system('node --version >/dev/null 2>&1') != 0;

write_file('numbers.lua', <<'LUA');
local json = require "moongate.json"
local function put(bits)
  local v = string.unpack("<d", string.pack("<I8", bits))
  if v == v and v ~= math.huge and v ~= -math.huge then print(string.format("%016x %s", bits, assert(json.encode(v)))) end
end
local function around(v)
  local bits = string.unpack("<I8", string.pack("<d", v))
  for d = -3, 3 do put(bits + d) end
end
for e = -1074, 1023 do around(2.0 ^ e) end
for e = -323, 308 do around(tonumber("1e" .. e)) around(tonumber("9.5e" .. e)) end
for _, v in ipairs { 5e-324, 1.7976931348623157e308, 0.1, 0.3, 1 / 3, 1e21, 1e-7, 123456789012345680000.0, 9007199254740991.0 } do
  around(v) around(-v)
end
put(0) put(1 << 63)
local s = 88172645463325252    -- xorshift: the same numbers on every machine
for _ = 1, 100000 do
  s = s ~ (s << 13) s = s ~ (s >> 7) s = s ~ (s << 17)
  put(s)
end
LUA
my $r = moon({ seconds => 120 }, 'run', 'numbers.lua');
is($r->{status}, 0, 'we print them') or diag($r->{err});
write_file('numbers.txt', $r->{out});
write_file('numbers.mjs', <<'JS');
import { readFileSync } from 'node:fs';
const view = new DataView(new ArrayBuffer(8));
let n = 0, bad = [];
for (const line of readFileSync('numbers.txt', 'utf8').trimEnd().split('\n')) {
  const [bits, text] = line.split(' ');
  view.setBigUint64(0, BigInt('0x' + bits));
  n++;
  if (JSON.stringify(view.getFloat64(0)) !== text) bad.push(`${bits}: ${text}, Node says ${JSON.stringify(view.getFloat64(0))}`);
}
console.log(JSON.stringify({ n, bad: bad.length, first: bad.slice(0, 5) }));
JS
my $node = run('node', 'numbers.mjs');
my $said = json($node->{out} || '{"n":0}');
cmp_ok($said->{n}, '>', 100_000, "$said->{n} numbers compared");
is($said->{bad}, 0, 'all as Node prints them') or diag(join "\n", @{ $said->{first} });
done_testing;
