#!/usr/bin/env perl
# --json is one document whatever a script returns or raises, and a list of ten and more is shown in its order.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../e2e/lib";
use Moon;
use Test::More;

for (
    [ 'return 0/0',                        'script', qr/no JSON form/ ],
    [ 'return print',                      'script', qr/no JSON form/ ],
    [ 'local t = {} t.t = t return t',     'script', qr/contains itself/ ],
    [ 'error("\xff")',                     'script',  qr/\A\x{fffd}\z/ ],
  ) {
    my ($chunk, $code, $message) = @$_;
    my $r = moon('--json', '-e', $chunk);
    my $doc = eval { json($r->{out}) } // {};
    is($doc->{error}{code}, $code, "$chunk: one document") or diag($r->{out}, $r->{err});
    like($doc->{error}{message}, $message, 'says why');
    is($doc->{error}{exit_status}, $r->{status}, 'and the exit status');
    isnt($r->{status}, 0, 'which is none of success');
}

is(moon('--json', '-e', 'return { ["\xff"] = "a\xe9", n = 2^53|0 }')->{out},
    qq({"n":9007199254740992,"\xef\xbf\xbd":"a\xef\xbf\xbd"}\n), 'what is not UTF-8 is shown as U+FFFD');

my $r = moon('-e', 'local t = {} for i = 1, 300 do t[i] = i end return t');
is($r->{status}, 0, 'a list of 300 is shown') or diag($r->{err});
is(join(',', $r->{out} =~ /(\d+)/g), join(',', 1 .. 300), 'in its order');
$r = moon('-e', 'local t = {} t.t = t return t');
is($r->{status}, 0, 'a table that contains itself ends somewhere');
$r = moon('-e', 'return { ["\xff"] = 1 }');
is($r->{out}, qq({\n  "\\255": 1\n}\n), 'a key that is no UTF-8');

my $file = "$dir/two.lua";
write_file($file, <<'LUA');
local t = require "moongate.test"
t.test("good", function() end)
t.test("bad", function() error("x", 0) end)
t.skip("later", "why")
LUA
write_file("$dir/none.lua", 'error("none")');
$r = moon('--json', 'test', $file, "$dir/none.lua");
is($r->{status}, 1, 'test --json: 1 when one failed');
my $doc = eval { json($r->{out}) } // {};
is(join(',', map { $_->{status} } @{ $doc->{tests} }), 'passed,failed,skipped,failed', 'each with its status')
  or diag($r->{out});
is($doc->{failed}, 2);
like($r->{err}, qr/^not ok 2 - bad$/m, 'TAP goes to standard error');

done_testing();
