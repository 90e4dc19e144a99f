#!/usr/bin/env perl
# `moongate test` never calls a URL that the project file names: webhooks go to the simulated gateway, the rest is refused.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../e2e/lib";
use IO::Socket::INET;
use Moon;
use Test::More;

my $real = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1', Blocking => 0) or die $!;
my $url = 'http://127.0.0.1:' . $real->sockport;
mkdir 'home';
write_file('home/moongate.lua', qq(return { webhooks = { ops = { url = "$url/hook" } }, gateway = { region = "$url" } }\n));
write_file('home/tells.lua', <<'LUA');
return require "moongate.workflow".define { name = "tells", summary = "s", run = function(run)
  return { notes = run:webhook("thing.done", { a = 1 }) }
end }
LUA
write_file('home/tells_test.lua', <<"LUA");
local t, http, httpd = require "moongate.test", require "moongate.http", require "moongate.httpd"
t.test("a webhook goes to the simulated receiver, though it is on this machine", function()
  local sim = t.sim {}
  local out = sim:run "tells.lua"
  t.eq(out.data.notes[1].delivered, true)
  t.eq(sim:state().receiver.ops.received, 1)
end)
t.test("a request is refused, and says what to do", function()
  local client = assert(http.client {})
  for _, call in ipairs {
    function() return http.get "$url/x" end, function() return client:get "$url/hook" end,
    function() return client:request { method = "POST", url = "$url/hook", body = "{}" } end,
  } do
    local ok, err = call()
    t.eq({ ok, err.code }, { nil, "denied" })
    t.ok(err.message:find("the project file names it", 1, true), err.message)
  end
end)
t.test("a server of the test's own is not the real one", function()
  local server <close> = assert(httpd.serve { handler = function() return { status = 204 } end })
  t.eq(assert(http.get(server.url)).status, 204)
end)
LUA
my $r = moon({ dir => 'home' }, 'test');
is($r->{status}, 0, 'the tests pass') or diag($r->{out}, $r->{err});
ok(!$real->accept, 'and nobody has called');
done_testing;
